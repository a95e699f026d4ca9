"""Whose login Claude Code would use now, by its file and by what was learnt before: light, and nobody is asked.

A process that stays follows logins, and may ask the API whose a new token is. This is for commands that answer by
kept figures: where they would have to ask, they do not know.
"""

import os
import stat
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from monitor.core.errors import Cause, CredentialError, Failure, NotLoggedInError, Reason, Source
from monitor.core.model import AuthMethod, Login, Secret
from monitor.core.state import State
from monitor.credentials.account_cache import AccountCache, CachedAccount, digest
from monitor.credentials.tokens import parse_login

FOLDER_VARIABLES: Final = ("CLAUDE_SECURESTORAGE_CONFIG_DIR", "CLAUDE_CONFIG_DIR")
"""What leads Claude Code to another login, the stronger one first; defined but empty, it means the default place."""

MOST_BYTES: Final = 1024 * 1024


class LoggedIn(NamedTuple):
    """The account, None where the login is of none of ours; where it is not `known`, that says nothing."""

    account: str | None = None
    known: bool = True


NOT_KNOWN: Final = LoggedIn(known=False)


def logged_in(
    state: State,
    learnt: AccountCache,
    now: datetime,
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> LoggedIn:
    """Which of the state's accounts it is. On macOS the Keychain would have to be asked, so it is not known there."""
    if platform == "darwin":
        return NOT_KNOWN
    folder = _folder(environ)
    try:
        login = _read(folder / ".credentials.json")
    except (NotLoggedInError, FileNotFoundError):
        return LoggedIn()
    except (CredentialError, OSError):
        return NOT_KNOWN
    found = _owner(login.credential.secret, learnt, state)
    if found is None and login.credential.is_dead(now):  # nobody can be asked about it
        living = (name for name in _oauth(state) if _lives(learnt[name], folder, environ))
        found = LoggedIn(min(living, default=None))
    return found or NOT_KNOWN


def _folder(environ: Mapping[str, str]) -> Path:
    """Claude Code takes a ~ in its environment for a name."""
    spelling = next((environ[name] for name in FOLDER_VARIABLES if name in environ), "")
    return Path(os.path.realpath(spelling)) if spelling else _place("", environ)


def _place(folder: str, environ: Mapping[str, str]) -> Path:
    """What is meant by a folder of Claude Code, however it is spelled; "" is the default one."""
    home = environ.get("HOME") or "~"
    return Path(os.path.realpath(os.path.expanduser(folder or f"{home}/.claude")))  # noqa: PTH111 - never raises


def _lives(facts: CachedAccount, folder: Path, environ: Mapping[str, str]) -> bool:
    return any(_place(known, environ) == folder for known in facts.folders)


def _read(place: Path) -> Login:
    """Raises CredentialError or OSError."""
    found = place.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
        unusable = Failure(Reason.CREDENTIALS, Cause.TOO_LARGE, Source.FILE, str(place))
        raise CredentialError(unusable)
    return parse_login(place.read_bytes().decode(errors="replace"), str(place))


def _owner(secret: Secret, learnt: AccountCache, state: State) -> LoggedIn | None:
    """Whose this very token was found to be; None where that was not found out."""
    ours, profile = digest(secret), learnt.profile_of(secret)
    for name in _oauth(state):
        facts = learnt[name]
        if facts.token_digest == ours or (profile and facts.identity == profile.identity):
            return LoggedIn(name)
    return None if profile is None else LoggedIn()


def _oauth(state: State) -> list[str]:
    accounts = state.accounts.items()
    return [name for name, one in accounts if one.account.auth_method is AuthMethod.OAUTH]
