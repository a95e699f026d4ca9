"""The checks of the settings' accounts: where each one's token is to be had from, and why one cannot be read."""

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from monitor.core.errors import CredentialError, Failure, Reason, command, explain
from monitor.core.format import age, duration
from monitor.core.model import (
    LOGIN_REASONS,
    Account,
    AccountState,
    AuthMethod,
    Credential,
    Down,
    Storage,
)
from monitor.credentials.account_cache import AccountCache, CachedAccount
from monitor.credentials.command import TokenCommand
from monitor.credentials.folders import for_claude_code, home
from monitor.doctor.logins import LoginFacts, minute
from monitor.doctor.report import Check, Outcome, Question, masked, title
from monitor.settings import Settings
from monitor.system.clock import Clock

ACCOUNT: Final = Question("account", "without a token that holds, its usage cannot be asked for")

_PLACES: Final = {
    Storage.KEYRING: "the keyring",
    Storage.LINKED: "Claude Code's own place",
    Storage.SYSTEMD: "systemd's credentials",
    Storage.COMMAND: "its token_command",
}


class Vault(Protocol):
    async def read(self, name: str) -> Credential | None: ...


class Given(Protocol):
    async def read(self, name: str, label: str | None = None) -> Credential | None: ...


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What is known of one account's token, but for the token. `title` is what the account is called here.

    `folder` is where its login is believed to live: "" is the default place, None that nobody knows.
    `is_asked` says that the place could be asked from here; a `login` is what a linked account's token is in.
    """

    title: str
    storage: Storage
    auth_method: AuthMethod = AuthMethod.OAUTH
    folder: str | None = None
    is_there: bool = False
    expires_at: datetime | None = None
    failure: Failure | None = None
    is_asked: bool = True
    login: LoginFacts | None = None


class Tokens:
    """Looks for the token of each account, in the order in which the program itself does."""

    def __init__(
        self,
        settings: Settings,
        learnt: AccountCache,
        logins: Sequence[LoginFacts],
        *,
        vault: Vault,
        given: Given,
        clock: Clock,
        environ: Mapping[str, str],
        has_keyring: bool,
    ) -> None:
        self._settings = settings
        self._learnt = learnt
        self._logins = logins
        self._vault = vault
        self._given = given
        self._clock = clock
        self._environ = environ
        self._has_keyring = has_keyring

    async def facts(self, place: int, account: Account) -> TokenFacts:
        """Never raises; takes some seconds where a program or keyring is silent."""
        facts = TokenFacts(
            title(place, account),
            Storage.KEYRING,
            account.auth_method,
            self._folder(account),
        )
        match wanted(self._settings, account):
            case Storage.LINKED:
                return self._linked(facts)
            case Storage.SYSTEMD:
                return await self._from_systemd(facts, account)
            case Storage.COMMAND:
                return await self._from_command(facts, account)
            case Storage.KEYRING:
                return await self._from_keyring(facts, account)
        return await self._from_anywhere(facts, account)

    def _folder(self, account: Account) -> str | None:
        if account.config_dir is not None:
            return for_claude_code(account.config_dir, str(home(self._environ) / ".claude"))
        folders = self._learnt[account.name].folders
        return folders[0] if folders else None

    def _linked(self, facts: TokenFacts) -> TokenFacts:
        if facts.folder is None:
            return replace(facts, storage=Storage.LINKED)
        key = os.path.realpath(facts.folder or home(self._environ) / ".claude")
        login = next((login for login in self._logins if login.key == key), None)
        return replace(facts, storage=Storage.LINKED, login=login)

    async def _from_systemd(self, facts: TokenFacts, account: Account) -> TokenFacts:
        facts = replace(
            facts, storage=Storage.SYSTEMD, is_asked="CREDENTIALS_DIRECTORY" in self._environ
        )
        try:
            return self._seen(facts, account, await self._given.read(account.name, account.label))
        except CredentialError as error:
            return replace(facts, failure=error.failure)

    async def _from_command(self, facts: TokenFacts, account: Account) -> TokenFacts:
        facts = replace(facts, storage=Storage.COMMAND)
        try:
            found = await TokenCommand(account.token_command, self._clock).read()
        except CredentialError as error:
            return replace(facts, failure=error.failure)
        return self._seen(facts, account, found)

    async def _from_keyring(self, facts: TokenFacts, account: Account) -> TokenFacts:
        if not self._has_keyring:
            return replace(facts, is_asked=False)
        try:
            return self._seen(facts, account, await self._vault.read(account.name))
        except CredentialError as error:
            return replace(facts, failure=error.failure)

    async def _from_anywhere(self, facts: TokenFacts, account: Account) -> TokenFacts:
        given = await self._from_systemd(facts, account)
        if given.is_there:
            return given
        kept = await self._from_keyring(facts, account)
        if kept.is_there or account.auth_method is not AuthMethod.OAUTH:
            return kept
        linked = self._linked(facts)
        return linked if linked.folder is not None and linked.login is not None else kept

    def _seen(self, facts: TokenFacts, account: Account, found: Credential | None) -> TokenFacts:
        """The date is told, and the token let go."""
        if found is None:
            return facts
        expires_at = self._learnt[account.name].expiry_of(found)
        return replace(facts, is_there=True, expires_at=expires_at)


def wanted(settings: Settings, account: Account) -> Storage | None:
    """Where the settings say that the account's token is; None is wherever one can be had."""
    if account.storage is not None:
        return account.storage
    alien = settings.storage is Storage.LINKED and account.auth_method is not AuthMethod.OAUTH
    return None if alien else settings.storage


UNSENT: Final = Question("account", "figures are booked on the account that Claude Code names")


def unsent_check(title: str, account: Account, facts: CachedAccount) -> Check:
    """What matters of an account where the API is not asked: whose figures Claude Code's are."""
    if account.auth_method is AuthMethod.SESSION_KEY:
        return UNSENT.warn(
            f"{title}: a session key is of no use while api.enabled = false",
            "log in by `claude` /login, then `monitor accounts import`",
        )
    if facts.identity is None:
        found = f"{title}: it is not known which of Claude Code's logins is its own"
        return UNSENT.warn(found, "`monitor accounts import --all`")
    return UNSENT.ok(f"{title}: it needs no token (api.enabled = false)")


def token_check(facts: TokenFacts, now: datetime) -> Check:
    where = f"{facts.title}: {_PLACES[facts.storage]}"
    if facts.storage is Storage.LINKED:
        return _of_login(facts, where, now)
    if not facts.is_asked:
        return ACCOUNT.skip(f"{where}: {_NOT_ASKED[facts.storage]}")
    if facts.failure is not None:
        problem, advice = explain(facts.failure)
        return ACCOUNT.fail(f"{where}: {problem}", advice or "look whether it works by hand")
    if not facts.is_there:
        return ACCOUNT.fail(f"{where} has none", bring(facts))
    if facts.expires_at is not None and facts.expires_at <= now:
        found = f"{where}: expired {age(now - facts.expires_at)} ago, at {minute(facts.expires_at)}"
        return ACCOUNT.warn(found, renew(facts))
    holds = f" for {duration(facts.expires_at - now)}" if facts.expires_at else ", no end known"
    return ACCOUNT.ok(f"{where} has its token{holds}")


_NOT_ASKED: Final = {
    Storage.KEYRING: "it could not be asked, see above",
    Storage.SYSTEMD: "only the service itself is given them",
}


def _of_login(facts: TokenFacts, where: str, now: datetime) -> Check:
    """What is wrong with the login is said of the login."""
    start = f"`{command(facts.folder)}`, then /login"
    if facts.folder is None:
        fix = '`monitor accounts import`, or name its folder: config_dir = "~/.claude"'
        return ACCOUNT.fail(f"{where}: nobody knows which login is its own", fix)
    if facts.login is None:
        return ACCOUNT.fail(f"{where}: no login is found there", start)
    login = facts.login.login
    if login is None:
        return ACCOUNT.fail(f"{where}: {facts.login.place} has no login that can be read", start)
    if login.is_setup_token:
        return ACCOUNT.fail(f"{where}: {facts.login.place} has a setup-token", start)
    if login.credential.is_dead(now):
        return ACCOUNT.warn(f"{where}: the token in {facts.login.place} has expired", renew(facts))
    return ACCOUNT.ok(f"{where}, {facts.login.place}, has its token")


def bring(facts: TokenFacts) -> str:
    """What gives the account a token."""
    if facts.storage is Storage.SYSTEMD:
        return "add LoadCredentialEncrypted=NAME:/path to the unit, and start it anew"
    if facts.auth_method is AuthMethod.SESSION_KEY:
        return "`monitor accounts edit NAME --session-key`"
    return f"`{command(facts.folder)}`, then /login: we take the login over"


def renew(facts: TokenFacts) -> str:
    """What replaces the account's token by one that holds."""
    if facts.storage is Storage.COMMAND:
        return "let the command print a new one"
    if facts.storage is Storage.SYSTEMD:
        return "encrypt a new one, and start the unit anew"
    return f"`{command(facts.folder)}`: it renews the token when it starts, and we take that over"


READING: Final = Question(
    "account", "while it cannot be read, its figures grow old and its alerts stay silent"
)

_BY_ITSELF: Final = "it is asked again by itself; `monitor status` says when"
_PASSING: Final = {
    Reason.RATE_LIMITED: f"wait: {_BY_ITSELF}",
    Reason.TIMEOUT: f"see the API above; {_BY_ITSELF}",
    Reason.CONNECTION: f"see the API above; {_BY_ITSELF}",
    Reason.SERVER: f"see the API above; {_BY_ITSELF}",
    Reason.CHALLENGE: f"leave the VPN or proxy, or log in by OAuth: `monitor accounts import`; {_BY_ITSELF}",
}
"""What mends the failures that may pass without anybody doing anything."""

_NOT_OF_SETUP: Final = (
    "the token of a login (`claude`, then /login), not one of `claude setup-token`"
)


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the last poll of an account failed; `is_running` says that a monitor runs now, and will poll again."""

    failure: Failure
    is_running: bool = True

    def without(self, names: Set[str]) -> "Failed":
        """The same with these accounts' names masked, fit for a page that strangers may see."""
        failure = self.failure
        name = masked(failure.name) if failure.name in names else failure.name
        owner = masked(failure.owner or "") if failure.owner in names else failure.owner
        return replace(self, failure=replace(failure, name=name, owner=owner))


def failures_of(accounts: Mapping[str, AccountState], *, is_running: bool) -> dict[str, Failed]:
    """By account, those that fail."""
    healths = {name: account.health for name, account in accounts.items()}
    return {
        name: Failed(health.failure, is_running)
        for name, health in healths.items()
        if isinstance(health, Down)
    }


def with_failure(check: Check, facts: TokenFacts, failed: Failed | None) -> Check:
    """The check of the account's token, unless that does not say why the account fails."""
    if failed is None or _is_explained(check, failed):
        return check
    whose = "cannot be read" if failed.is_running else "could not be read when it was asked last"
    problem, fix = _problem(failed, facts)
    found = f"{facts.title}: it {whose} ({failed.failure.reason}): {problem}"
    if failed.failure.reason in _PASSING:
        return READING.warn(found, fix)
    return READING.fail(found, fix)


def _is_explained(check: Check, failed: Failed) -> bool:
    """A token that has expired explains a refusal, and what passes by itself; one that is missing, anything."""
    if check.outcome is Outcome.WARN:
        return failed.failure.reason is Reason.AUTH or failed.failure.reason in _PASSING
    return check.outcome is Outcome.FAIL


def _problem(failed: Failed, facts: TokenFacts) -> tuple[str, str]:
    """What is wrong, and what mends it: the failure's own advice, where it names a command."""
    problem, advice = explain(failed.failure)
    if failed.failure.reason in _PASSING:
        return problem, _PASSING[failed.failure.reason]
    if failed.failure.reason in LOGIN_REASONS:
        return problem, _login(failed.failure.reason, facts)
    if failed.failure.reason is Reason.SCHEMA:
        return problem, "`pip install --upgrade claude-tracker`: the API may have changed"
    if advice:
        return problem, advice
    return problem, f"`monitor accounts import`; if it stays so, {_start(facts)}"


def _login(reason: Reason, facts: TokenFacts) -> str:
    if facts.auth_method is AuthMethod.SESSION_KEY:
        return bring(facts)
    if reason is Reason.AUTH:
        given = facts.storage in (Storage.COMMAND, Storage.SYSTEMD)
        return renew(facts) if given else _start(facts)
    match facts.storage:
        case Storage.COMMAND:
            return f"let the command print {_NOT_OF_SETUP}"
        case Storage.SYSTEMD:
            return f"encrypt {_NOT_OF_SETUP}, and start the unit anew"
    return f"{_start(facts)}; and then `monitor accounts import`"


def _start(facts: TokenFacts) -> str:
    return f"`{command(facts.folder)}`, then /login"
