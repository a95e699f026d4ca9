"""The checks of the settings' accounts: where each one's token comes from, and why one cannot be read."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from monitor.core.errors import Cause, Failure, Reason, Source, command, explain
from monitor.core.format import age, duration
from monitor.core.model import LOGIN_REASONS, Account, AccountState, AuthMethod, Down, Storage
from monitor.core.sanitize import clean
from monitor.credentials.account_cache import CachedAccount
from monitor.credentials.folders import DEFAULT, for_claude_code
from monitor.credentials.resolver import TokenStatus
from monitor.doctor.logins import minute
from monitor.doctor.report import Check, Outcome, Question, masked

ACCOUNT: Final = Question("account", "without a valid token its usage can't be read")

_PLACES: Final = {
    Storage.KEYRING: "the keyring",
    Storage.LINKED: "Claude Code's own place",
    Storage.SYSTEMD: "systemd's credentials",
    Storage.COMMAND: "its token_command",
}


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """One account, called `title` here, and what the resolver says of its token.

    `keyring` is why the keyring cannot be asked; `is_given` says that systemd hands credentials to this process.
    """

    title: str
    account: Account
    status: TokenStatus
    keyring: Failure | None = None
    is_given: bool = False

    @property
    def start(self) -> str:
        """The command that logs in where the account's login is believed to live."""
        folder, said = self.status.folder, self.account.config_dir
        if folder is None and said is not None:
            folder = for_claude_code(said)
        return f"`{command(folder)}`, then /login"

    @property
    def place(self) -> str:
        """The source of the token; a keyring that cannot be asked is not where it comes from."""
        storage, folder = self.status.storage or Storage.KEYRING, self.status.folder
        if storage is Storage.KEYRING and self.keyring is not None:
            storage = Storage.LINKED
        if storage is Storage.LINKED and folder is not None:
            return f"{_PLACES[storage]}, {folder or DEFAULT},"
        return _PLACES[storage]


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
    """A token that has only ended is a warning, since Claude Code renews it; one that is missing is a failure."""
    status, failure, title = facts.status, facts.status.failure, facts.title
    ends = status.expires_at
    if failure is None:
        holds = f" for {duration(ends - now)}" if ends else ", no end known"
        return ACCOUNT.ok(f"{title}: {facts.place} has its token{holds}")
    if status.storage is Storage.SYSTEMD and not facts.is_given:
        found = "only the service itself is given them"
        return ACCOUNT.skip(f"{title}: {_PLACES[Storage.SYSTEMD]}: {found}")
    if facts.keyring is not None and _is_of_keyring(failure, facts.keyring):
        return ACCOUNT.skip(f"{title}: the keyring could not be asked, see above")
    if failure.cause is Cause.UNIDENTIFIED:
        return ACCOUNT.skip(f"{title}: only the API knows whose login is there; it is not asked")
    problem, advice = explain(failure)
    fix = _without_login(facts, failure) or advice or "look whether it works by hand"
    if ends is not None and ends <= now and failure.cause is not Cause.LOGIN_ENDED:
        expired = f"expired {age(now - ends)} ago, at {minute(ends)}"
        return ACCOUNT.warn(f"{title}: {facts.place}: {expired} ({problem})", fix)
    check = ACCOUNT.warn if failure.cause is Cause.WAITING else ACCOUNT.fail
    return check(f"{title}: {problem}", fix)


def _is_of_keyring(failure: Failure, keyring: Failure) -> bool:
    return failure == keyring or (
        failure.cause is Cause.NO_KEYRING and failure.source is not Source.KEYCHAIN
    )


def _without_login(facts: TokenFacts, failure: Failure) -> str:
    """The advice for an account that never had a token, where the doctor knows better than the table on the screen."""
    if failure.cause is not Cause.ABSENT:
        return ""
    if failure.source is Source.SESSION_KEY:
        return _ENTER_KEY
    if failure.source is Source.LOGIN and facts.status.storage is Storage.LINKED:
        named = failure.folder is not None
        return "" if named else f'{facts.start}; or name its folder: config_dir = "~/.claude"'
    return ""


_ENTER_KEY: Final = "`monitor accounts edit NAME --session-key`"


READING: Final = Question("account", "its data is stale and it sends no alerts")

_BY_ITSELF: Final = "it is polled again automatically; `monitor status` shows when"
_PASSING: Final = {
    Reason.RATE_LIMITED: f"wait: {_BY_ITSELF}",
    Reason.TIMEOUT: f"see the API above; {_BY_ITSELF}",
    Reason.CONNECTION: f"see the API above; {_BY_ITSELF}",
    Reason.SERVER: f"see the API above; {_BY_ITSELF}",
    Reason.BLOCKED: f"look at the proxy, the VPN or the network's login page; {_BY_ITSELF}",
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
        return replace(self, failure=_masked(self.failure, names))


def without_names(status: TokenStatus, names: Set[str]) -> TokenStatus:
    """The status with these accounts' names masked in its failure."""
    return replace(status, failure=status.failure and _masked(status.failure, names))


def _masked(failure: Failure, names: Set[str]) -> Failure:
    name = masked(failure.name) if failure.name in names else failure.name
    owner = masked(failure.owner or "") if failure.owner in names else failure.owner
    return replace(failure, name=name, owner=owner)


def failures_of(accounts: Mapping[str, AccountState], *, is_running: bool) -> dict[str, Failed]:
    """By account, those that fail, if only to read some of their figures."""
    failed = {}
    for name, account in accounts.items():
        if isinstance(account.health, Down):
            failed[name] = Failed(account.health.failure, is_running)
        elif account.usage is not None and account.usage.left_out:
            words = clean("; ".join(account.usage.left_out))
            partial = Failure(Reason.SCHEMA, Cause.LEFT_OUT, detail=words)
            failed[name] = Failed(partial, is_running)
    return failed


def with_failure(check: Check, facts: TokenFacts, failed: Failed | None) -> Check:
    """The check of the account's token, unless that does not say why the account fails."""
    if failed is None or _is_explained(check, failed):
        return check
    whose = "cannot be read" if failed.is_running else "could not be read when it was asked last"
    problem, fix = _problem(failed, facts)
    if failed.failure.cause is Cause.LEFT_OUT:
        return READING.warn(f"{facts.title}: {problem}", fix)
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
    if failed.failure.cause is Cause.NO_LIMITS:
        return problem, f"wait: {_BY_ITSELF}"
    if failed.failure.reason is Reason.SCHEMA:
        return problem, "install the newest version of this program: the API may have changed"
    if advice:
        return problem, advice
    return problem, f"`monitor accounts import`; if it stays so, {facts.start}"


def _login(reason: Reason, facts: TokenFacts) -> str:
    if facts.account.auth_method is AuthMethod.SESSION_KEY:
        return _ENTER_KEY
    token = "a new one" if reason is Reason.AUTH else _NOT_OF_SETUP
    match facts.status.storage:
        case Storage.COMMAND:
            return f"let the command print {token}"
        case Storage.SYSTEMD:
            return f"encrypt {token}, and restart the unit"
    return (
        facts.start
        if reason is Reason.AUTH
        else f"{facts.start}; and then `monitor accounts import`"
    )
