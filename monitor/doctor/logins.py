"""Checks Claude Code's logins: what is in each place, whether an account uses it, and what overrides it."""

import asyncio
import json
import os.path
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.core.errors import (
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    Source,
    explain,
)
from monitor.core.format import age, duration
from monitor.core.model import Account, AuthMethod, Identity, Login
from monitor.credentials.account_cache import AccountCache, CachedAccount, digest
from monitor.credentials.claude_code import ClaudeCode, ClaudeJson, WholeFile
from monitor.credentials.folders import DEFAULT, absolute
from monitor.credentials.owners import is_of_email
from monitor.doctor.report import Check, Fix, Question, shell, start_claude

LOGIN: Final = Question("login", "tokens last about 8 h; only Claude Code can renew them")
ENVIRONMENT: Final = Question(
    "environment", "these variables make Claude Code work with something else than its login"
)

ENDS_SOON: Final = timedelta(days=3)

NOTED_SECS: Final = 2.0
"""For reading what Claude Code notes beside a login; a disk may hang."""

_TOKENS: Final = ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_ELSEWHERE: Final = (
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)
_OVERRIDES: Final = (*_TOKENS, *_ELSEWHERE)
"""Variables by which Claude Code uses another login, or none of Anthropic's at all."""

_HELPER: Final = "apiKeyHelper"
MOST_SETTINGS_BYTES: Final = 1 << 20
_SILENT: Final = Failure(Reason.CREDENTIALS, Cause.SILENT, detail="nothing has answered in time")
_NOBODY: Final = frozenset({Cause.ABSENT, Cause.MCP_ONLY})


@dataclass(frozen=True, slots=True)
class ReadLogin:
    """A place of Claude Code that was read: its login, or why there is none. Reading it as a source returns the same.

    `is_current` says that Claude Code would use it now. `noted` and `email` are whose login it is by what Claude Code
    notes beside it, which may be out of date.
    """

    source: ClaudeCode
    is_current: bool
    login: Login | None = None
    failure: Failure = _SILENT
    noted: Identity | None = None
    email: str = ""

    @property
    def key(self) -> str:
        return self.source.key

    @property
    def folder(self) -> str | None:
        return self.source.folder

    @property
    def facts(self) -> ClaudeJson | None:
        return self.source.facts

    def peek(self) -> Hashable:
        return self.key

    async def stamp(self) -> Hashable:
        return self.key

    async def read(self) -> Login:
        if self.login is not None:
            return self.login
        kind = NotLoggedInError if self.failure.cause in _NOBODY else CredentialError
        raise kind(self.failure)

    @property
    def place(self) -> str:
        """The name that people know the place by."""
        if self.source.item:
            item = f"the Keychain item {self.source.item!r}"
            return item if self.folder is None else f"{item} of {self.folder or DEFAULT}"
        return self.folder or DEFAULT


async def read_login(source: ClaudeCode, *, is_current: bool, limit_secs: float) -> ReadLogin:
    """Read what is in the place. Never raises."""
    found = ReadLogin(source, is_current)
    try:
        async with asyncio.timeout(limit_secs):
            found = replace(found, login=await source.read())
    except TimeoutError:
        return found
    except CredentialError as error:
        return replace(found, failure=error.failure)
    if source.facts is not None:
        with suppress(CredentialError, TimeoutError):  # the login is valid without it
            async with asyncio.timeout(NOTED_SECS):
                facts = await source.facts.read()
            found = replace(found, noted=facts.identity, email=facts.email)
    return found


def login_check(
    found: ReadLogin, now: datetime, platform: str, environ: Mapping[str, str], *, asks: bool
) -> Check:
    """Check a login. Where the API is not asked (`asks` is false), the scopes of its token do not matter."""
    login, place = found.login, found.place
    log_in = start_claude(found.folder, ", then /login")
    if login is None:
        return _missing(found, log_in, platform, environ)
    if login.is_setup_token and not asks:
        return LOGIN.ok(f"{place}: a setup-token, which is not sent (api.enabled = false)")
    if login.is_setup_token:
        words = f"{place}: a setup-token, without the scope user:profile that usage needs"
        return LOGIN.fail(words, log_in)
    expires, ends = login.credential.expires_at, login.login_expires_at
    if ends is not None and ends <= now:
        return LOGIN.fail(f"{place}: the login ended on {ends:%Y-%m-%d}", log_in)
    if login.credential.is_dead(now):
        expired = expires or now
        words = f"{place}: the token expired {age(now - expired)} ago, at {minute(expired)}"
        if ends is not None:
            words += f"; the login is valid until {ends:%Y-%m-%d}"
        if not login.renewable:
            then = ", then /login: there is nothing to renew it with"
        else:
            then = ": it renews the token when it starts"
        return LOGIN.warn(words, start_claude(found.folder, then))
    if ends is not None and ends - now <= ENDS_SOON:
        words = f"{place}: the login ends in {duration(ends - now)}, on {ends:%Y-%m-%d}"
        return LOGIN.warn(words, log_in)
    plan = f" ({login.plan})" if login.plan else ""
    token = f", token for {duration(expires - now)}" if expires else ""
    until = f", login until {ends:%Y-%m-%d}" if ends else ""
    return LOGIN.ok(f"{place}: logged in{plan}{token}{until}")


def _missing(found: ReadLogin, log_in: Fix, platform: str, environ: Mapping[str, str]) -> Check:
    """Say that there is no login, or why one that may well be there cannot be read."""
    place, failure = found.place, found.failure
    problem, advice = explain(failure)
    words = f"{place}: {problem}"
    if failure.cause in _NOBODY:
        is_mcp = failure.cause is Cause.MCP_ONLY
        words = f"{place}: {'logins of MCP servers, and none of Claude' if is_mcp else 'no login'}"
        return LOGIN.warn(words, log_in) if found.is_current else LOGIN.skip(words)
    if failure.cause is Cause.DAMAGED:
        return LOGIN.warn(f"{place}: half-written or damaged", f"{failure.detail}{log_in.text}")
    if platform != "darwin" or failure.source is Source.FILE:
        path = f"{place}/.credentials.json"
        return LOGIN.fail(words, f"`ls -l {path}` says whose it is; `chmod u+r {path}`")
    if failure.cause is Cause.LOCKED and environ.get("SSH_CONNECTION"):
        words += ", as it is over ssh"
    return LOGIN.fail(words, advice or "look for a question on the Mac's own screen")


def minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


async def override_checks(folders: Mapping[str, Path]) -> list[Check]:
    """Warn of each folder of Claude Code, by the name that people know, whose settings override its login."""
    checks = []
    for place, folder in folders.items():
        file = WholeFile(folder / "settings.json", max_bytes=MOST_SETTINGS_BYTES)
        found: list[str] = []
        with suppress(CredentialError):
            found = await file.read(_overrides_in) or []
        if found:
            words = (
                f"{place}/settings.json sets {', '.join(found)}: its login is not the one in use"
            )
            fix = f"take that out of {place}/settings.json, then `claude` and /login"
            checks.append(ENVIRONMENT.warn(words, fix))
    return checks


def _overrides_in(content: bytes) -> list[str]:
    """Return the keys of a `settings.json` that make Claude Code work with something else than its login."""
    try:
        settings = json.loads(content.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return []
    if not isinstance(settings, dict):
        return []
    env = settings.get("env")
    names = [f"env.{name}" for name in _OVERRIDES if isinstance(env, dict) and env.get(name)]
    return [_HELPER, *names] if settings.get(_HELPER) else names


def environment_check(environ: Mapping[str, str]) -> Check:
    """Check the variables that override a login; their values are not shown."""
    there = [name for name in _OVERRIDES if environ.get(name)]
    if not there:
        return ENVIRONMENT.ok("no variable overrides Claude Code's login")
    if not set(there) & {*_TOKENS}:
        found = f"{', '.join(there)} set: Claude Code asks another API than the one that is watched"
        return ENVIRONMENT.warn(found, f"`unset {' '.join(there)}`")
    kind = " (mostly a setup-token, which may not ask for usage)" if there[0] == _TOKENS[0] else ""
    found = f"{', '.join(there)} set{kind}: the account marked as logged in is not the one in use"
    return ENVIRONMENT.warn(found, f"`unset {' '.join(there)}`, then `claude` and /login")


UNWATCHED: Final = Question("unwatched", "this login is not imported, so it is not monitored")


def unwatched_checks(
    logins: Sequence[ReadLogin], accounts: Sequence[Account], cache: AccountCache, now: datetime
) -> list[Check]:
    """Warn of each login that could be imported now, and is no account as far as is known without asking."""
    oauth = [account for account in accounts if account.auth_method is AuthMethod.OAUTH]
    checks = []
    for found in logins:
        login = found.login
        if login is None or login.is_setup_token or login.credential.is_dead(now):
            continue
        key, profile = digest(login.credential.secret), cache.profile_of(login.credential.secret)
        if profile is not None:  # the API has said so
            found = replace(found, noted=profile.identity, email=profile.email)
        if not any(
            cache[one.name].token_digest == key or _may_be(found, one, cache[one.name])
            for one in oauth
        ):
            words = ["monitor", "accounts", "import"]
            if found.folder:
                words += ["--config-dir", found.folder]
            elif found.folder is None or not found.is_current:
                words += ["--all"]
            where = f"{found.place}: logged in, and no account yet"
            fix = Fix(shell(*words), "`monitor accounts import --all`")
            checks.append(UNWATCHED.warn(where, fix))
    return checks


def _may_be(found: ReadLogin, account: Account, known: CachedAccount) -> bool:
    """Say whether the login may be the account's; in doubt it may."""
    noted, folder = found.noted, account.config_dir
    if noted is not None and known.identity is not None:
        same = noted.account_uuid == known.identity.account_uuid
        return same and noted.org_uuid in ("", known.identity.org_uuid)
    if found.folder in known.folders:
        return True
    if folder is not None and found.key == os.path.realpath(absolute(folder)):
        return True
    if known.identity is not None:
        return False
    # Only what the settings say is known of the account.
    if noted is not None and noted.org_uuid and account.org_id:
        return noted.org_uuid == account.org_id
    return noted is None or is_of_email(account, found.email)
