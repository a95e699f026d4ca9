"""The checks of Claude Code's logins: what is in each place, whether an account watches it, and what overrides it."""

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
    describe,
    explain,
    of_login,
)
from monitor.core.format import age, duration
from monitor.core.model import Account, AuthMethod, Identity, Login
from monitor.credentials.account_cache import AccountCache, CachedAccount, digest
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.claude_files import ClaudeJson, WholeFile
from monitor.credentials.folders import absolute
from monitor.credentials.owners import is_of_email
from monitor.doctor.report import Check, Question, shell

LOGIN: Final = Question("login", "tokens last about 8 h; only Claude Code can renew them")
ENVIRONMENT: Final = Question(
    "environment", "these variables make Claude Code work with something else than its login"
)

ENDS_SOON: Final = timedelta(days=3)

NOTED_SECS: Final = 2.0
"""For what Claude Code notes beside a login, which a disk may hold up."""

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
_DEFAULT: Final = "~/.claude"
_KEYCHAIN_PREFIX: Final = "keychain:"


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """What was found in one place: a login, or why there is none.

    `is_current` says that Claude Code would use it now; `folder` is "" for the default one, None where nobody knows.
    `noted` and `email` are what Claude Code says beside a login of whose it is, which need not be so.
    """

    key: str
    folder: str | None
    is_current: bool = False
    login: Login | None = None
    failure: Failure | None = None
    noted: Identity | None = None
    email: str = ""

    @property
    def place(self) -> str:
        """What people call it."""
        if self.key.startswith(_KEYCHAIN_PREFIX):
            item = f"the Keychain item {self.key.removeprefix(_KEYCHAIN_PREFIX)!r}"
            return item if self.folder is None else f"{item} of {self.folder or _DEFAULT}"
        return self.folder or _DEFAULT

    @property
    def start(self) -> str:
        """What starts Claude Code with this login."""
        return of_login(self.folder)


@dataclass(frozen=True, slots=True)
class ReadLogin:
    """A place that was read already, to be looked at without reading it again."""

    source: LoginSource
    found: LoginFacts

    @property
    def key(self) -> str:
        return self.found.key

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
        if self.found.login is not None:
            return self.found.login
        failure = self.found.failure or _SILENT
        kind = NotLoggedInError if failure.cause in _NOBODY else CredentialError
        raise kind(failure)


async def login_facts(source: LoginSource, *, is_current: bool, limit_secs: float) -> LoginFacts:
    """Reads the login; never raises."""
    folder = source.folder
    try:
        async with asyncio.timeout(limit_secs):
            login = await source.read()
    except CredentialError as error:
        return LoginFacts(source.key, folder, is_current, failure=error.failure)
    except TimeoutError:
        return LoginFacts(source.key, folder, is_current, failure=_SILENT)
    identity, email = await _noted(source)
    return LoginFacts(source.key, folder, is_current, login, noted=identity, email=email)


async def _noted(source: LoginSource) -> tuple[Identity | None, str]:
    """Without it the login is as good."""
    if source.facts is not None:
        with suppress(CredentialError, TimeoutError):
            async with asyncio.timeout(NOTED_SECS):
                facts = await source.facts.read()
            return facts.identity, facts.email
    return None, ""


def login_check(
    facts: LoginFacts,
    now: datetime,
    platform: str,
    environ: Mapping[str, str],
    *,
    asks: bool = True,
) -> Check:
    """Where the API is not asked (`asks` is false), it does not matter what a token may be used for."""
    if facts.login is None:
        return _missing(facts, platform, environ)
    if facts.login.is_setup_token and not asks:
        return LOGIN.ok(f"{facts.place}: a setup-token, which is not sent (api.enabled = false)")
    return _present(facts, facts.login, now)


def overrides_in(document: object) -> list[str]:
    """What in a `settings.json` of Claude Code makes it work with something else than its login."""
    settings = document if isinstance(document, dict) else {}
    env = settings.get("env")
    names = [name for name in _OVERRIDES if isinstance(env, dict) and env.get(name)]
    return [*([_HELPER] if settings.get(_HELPER) else []), *(f"env.{name}" for name in names)]


async def override_checks(folders: Mapping[str, Path]) -> list[Check]:
    """One for each folder of Claude Code, by what people call it, whose settings override its login."""
    checks = []
    for place, folder in folders.items():
        file = WholeFile(folder / "settings.json", max_bytes=MOST_SETTINGS_BYTES)
        try:
            found = await file.read(lambda content: overrides_in(_document(content)))
        except CredentialError:
            found = None
        if found:
            words = (
                f"{place}/settings.json sets {', '.join(found)}: its login is not the one in use"
            )
            fix = f"take that out of {place}/settings.json, then `claude` and /login"
            checks.append(ENVIRONMENT.warn(words, fix))
    return checks


def _document(content: bytes) -> object:
    try:
        return json.loads(content.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return None


def environment_check(environ: Mapping[str, str]) -> Check:
    """Names the variables, never what is in them."""
    there = [name for name in _OVERRIDES if environ.get(name)]
    if not there:
        return ENVIRONMENT.ok("no variable overrides Claude Code's login")
    if not set(there) & {*_TOKENS}:
        found = f"{', '.join(there)} set: Claude Code asks another API than the one that is watched"
        return ENVIRONMENT.warn(found, f"`unset {' '.join(there)}`")
    kind = " (mostly a setup-token, which may not ask for usage)" if there[0] == _TOKENS[0] else ""
    found = f"{', '.join(there)} set{kind}: the account marked as logged in is not the one in use"
    return ENVIRONMENT.warn(found, f"`unset {' '.join(there)}`, then `claude` and /login")


def _present(facts: LoginFacts, login: Login, now: datetime) -> Check:
    start = facts.start
    if login.is_setup_token:
        found = f"{facts.place}: a setup-token, without the scope user:profile that usage needs"
        return LOGIN.fail(found, f"{start}, then /login")
    ends = login.login_expires_at
    if ends is not None and ends <= now:
        return LOGIN.fail(f"{facts.place}: the login ended on {day(ends)}", f"{start}, then /login")
    if login.credential.is_dead(now):
        return LOGIN.warn(*_expired(facts.place, login, now, start))
    if ends is not None and ends - now <= ENDS_SOON:
        found = f"{facts.place}: the login ends in {duration(ends - now)}, on {day(ends)}"
        return LOGIN.warn(found, f"{start}, then /login")
    return LOGIN.ok(f"{facts.place}: {_words(login, now)}")


def _expired(place: str, login: Login, now: datetime, start: str) -> tuple[str, str]:
    expired = login.credential.expires_at or now
    found = f"{place}: the token expired {age(now - expired)} ago, at {minute(expired)}"
    if login.login_expires_at is not None:
        found += f"; the login holds until {day(login.login_expires_at)}"
    if not login.renewable:
        return found, f"{start}, then /login: there is nothing to renew it with"
    return found, f"{start}: it renews the token when it starts"


def _words(login: Login, now: datetime) -> str:
    plan = f" ({login.plan})" if login.plan else ""
    expires_at, ends = login.credential.expires_at, login.login_expires_at
    token = f", token for {duration(expires_at - now)}" if expires_at else ""
    return f"logged in{plan}{token}{f', login until {day(ends)}' if ends else ''}"


def _missing(facts: LoginFacts, platform: str, environ: Mapping[str, str]) -> Check:
    start = f"{facts.start}, then /login"
    failure = facts.failure or _SILENT
    if failure.cause in _NOBODY:
        words = (
            "logins of MCP servers, and none of Claude"
            if failure.cause is Cause.MCP_ONLY
            else "no login"
        )
        found = f"{facts.place}: {words}"
        return LOGIN.warn(found, start) if facts.is_current else LOGIN.skip(found)
    if failure.cause is Cause.DAMAGED:
        found = f"{facts.place}: half-written or damaged"
        return LOGIN.warn(found, f"{failure.detail}{start}")
    words, fix = _blocked(facts.place, failure, platform, environ)
    return LOGIN.fail(f"{facts.place}: {words}", fix)


def _blocked(
    place: str, failure: Failure, platform: str, environ: Mapping[str, str]
) -> tuple[str, str]:
    """What keeps a login that may well be there from being read."""
    words = explain(failure)[0]
    if platform != "darwin" or failure.source is Source.FILE:
        path = f"{place}/.credentials.json"
        return words, f"`ls -l {path}` says whose it is; `chmod u+r {path}`"
    match failure.cause:
        case Cause.LOCKED:
            ssh = ", as it is over ssh" if environ.get("SSH_CONNECTION") else ""
            return f"{words}{ssh}", "`security unlock-keychain`, or start this from the desktop"
        case Cause.DENIED | Cause.CANCELLED:
            return words, (
                "in Keychain Access, under Access Control of the item 'Claude Code-credentials', allow "
                "/usr/bin/security; or `claude` and /login, which writes the item again"
            )
        case Cause.SILENT:
            return words, (
                "answer the question that waits on the Mac's own screen by 'Always Allow', and ask again"
            )
        case Cause.NO_KEYRING:
            return words, "start this from the desktop: a system service has no login Keychain"
    return describe(failure), "`security list-keychains` says whether the Keychain works at all"


def minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


UNWATCHED: Final = Question("unwatched", "this login is not imported, so it is not monitored")


def unwatched_checks(
    logins: Sequence[LoginFacts], accounts: Sequence[Account], learnt: AccountCache, now: datetime
) -> list[Check]:
    """One for each login that could be imported now."""
    oauth = [account for account in accounts if account.auth_method is AuthMethod.OAUTH]
    return [
        UNWATCHED.warn(f"{facts.place}: logged in, and no account yet", _import(facts))
        for facts in logins
        if facts.login is not None and _is_usable(facts.login, now)
        if not _is_account(facts, facts.login, oauth, learnt)
    ]


def _is_usable(login: Login, now: datetime) -> bool:
    return not (login.is_setup_token or login.credential.is_dead(now))


def _is_account(
    facts: LoginFacts, login: Login, accounts: Sequence[Account], learnt: AccountCache
) -> bool:
    """Whether it is one of these, as far as can be told without asking; where in doubt it is."""
    key, profile = digest(login.credential.secret), learnt.profile_of(login.credential.secret)
    if profile is not None:  # that is not only noted, but was asked
        facts = replace(facts, noted=profile.identity, email=profile.email)
    return any(
        learnt[one.name].token_digest == key or _may_be(facts, one, learnt[one.name])
        for one in accounts
    )


def _may_be(facts: LoginFacts, account: Account, known: CachedAccount) -> bool:
    noted = facts.noted
    if noted is not None and known.identity is not None:
        same = noted.account_uuid == known.identity.account_uuid
        return same and noted.org_uuid in ("", known.identity.org_uuid)
    if facts.folder in known.folders or _is_said(account, facts):
        return True
    return known.identity is None and _may_be_unidentified(facts, account)


def _may_be_unidentified(facts: LoginFacts, account: Account) -> bool:
    """Of the account nothing is known but what the settings say."""
    if facts.noted is None:
        return True
    if facts.noted.org_uuid and account.org_id:
        return facts.noted.org_uuid == account.org_id
    return is_of_email(account, facts.email)


def _is_said(account: Account, facts: LoginFacts) -> bool:
    """Whether the settings say that the account's login is there."""
    folder = account.config_dir
    return folder is not None and facts.key == os.path.realpath(absolute(folder))


def _import(facts: LoginFacts) -> str:
    if facts.folder:
        return shell("monitor", "accounts", "import", "--config-dir", facts.folder)
    alone = facts.is_current and facts.folder == ""
    return shell("monitor", "accounts", "import", *([] if alone else ["--all"]))
