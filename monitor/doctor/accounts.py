"""Checks the OS keyring, and each account of the settings: where its token comes from, and why it fails.

Nothing is written into the keyring.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from monitor.core.errors import (
    UNLOCKABLE,
    Cause,
    CredentialError,
    Failure,
    Reason,
    Source,
    explain,
)
from monitor.core.format import age, duration
from monitor.core.model import LOGIN_REASONS, Account, AccountState, AuthMethod, Storage
from monitor.core.sanitize import clean
from monitor.credentials.account_cache import CachedAccount
from monitor.credentials.folders import DEFAULT, for_claude_code
from monitor.credentials.keyring import Backend, Keyring
from monitor.credentials.resolver import TokenStatus
from monitor.doctor.logins import minute
from monitor.doctor.report import Check, Fix, Outcome, Question, mask, start_claude

KEYRING: Final = Question(
    "keyring", "tokens and session keys are kept there, unless the settings say where else"
)

_NO_ENTRY: Final = "monitor doctor"
"""A name that no account has: reading it opens the keyring, and returns no secret."""

_NAMES: Final = {
    "keyring.backends.SecretService": "Secret Service (GNOME Keyring, KeePassXC or another)",
    "keyring.backends.libsecret": "libsecret",
    "keyring.backends.kwallet": "KWallet",
    "keyring.backends.macOS": "the macOS Keychain",
}
_INSTEAD: Final = (
    'Without a keyring, set `storage = "linked"` under [settings] (Claude Code\'s own logins), '
    "or a token_command for each account"
)


async def keyring_check(
    backend: Callable[[], Backend],
    environ: Mapping[str, str],
    platform: str,
    *,
    is_needed: bool,
) -> tuple[Check, Failure | None]:
    """Read from the keyring: the check, and why it failed; takes some seconds where it is silent. Never raises.

    `is_needed` says that the settings leave no other place for some secret.
    """
    used: list[str] = []

    def note_backend() -> Backend:
        found = backend()
        used.append(type(found).__module__)
        return found

    try:
        await Keyring(note_backend).read(_NO_ENTRY)
    except CredentialError as error:
        found, fix = _explain(error.failure, environ, platform)
        check = KEYRING.fail if is_needed else KEYRING.warn
        return check(found, fix), error.failure
    return KEYRING.ok(f"{_NAMES.get(used[0], used[0])} answers"), None


def _explain(failure: Failure, environ: Mapping[str, str], platform: str) -> tuple[str, str]:
    """Say what is wrong, and what to do about it in this session."""
    problem, advice = explain(failure)
    has_bus = platform != "linux" or environ.get("DBUS_SESSION_BUS_ADDRESS")
    if failure.cause is Cause.NO_KEYRING and not has_bus:
        advice = (
            "$DBUS_SESSION_BUS_ADDRESS is not set: log in to the desktop, or run `dbus-run-session -- sh` and in "
            f"it `gnome-keyring-daemon --unlock`. {_INSTEAD}"
        )
    elif failure.cause in UNLOCKABLE and platform == "darwin":
        advice = "`security unlock-keychain`, or start this from the desktop"
    elif failure.cause in UNLOCKABLE and environ.get("SSH_CONNECTION"):
        advice = "`gnome-keyring-daemon --replace --unlock` (it reads the password), or log in to the desktop"
    return problem, advice


ACCOUNT: Final = Question("account", "without a valid token its usage can't be read")

_PLACES: Final = {
    Storage.KEYRING: "the keyring",
    Storage.LINKED: "Claude Code's own place",
    Storage.SYSTEMD: "systemd's credentials",
    Storage.COMMAND: "its token_command",
}

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
"""Advice for failures that may pass without anybody doing anything."""

_UPGRADE: Final = "install the newest version of this program: the API may have changed"
_NOT_OF_SETUP: Final = (
    "the token of a login (`claude`, then /login), not one of `claude setup-token`"
)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """One account, called `title` on the page, and what the resolver says of its token.

    `failed` is why its last poll failed, if it did; `keyring` is why the keyring cannot be read; `is_given` says that
    systemd passes credentials to this process.
    """

    title: str
    account: Account
    status: TokenStatus
    failed: Failure | None
    keyring: Failure | None
    is_given: bool

    def log_in(self, then: str = "") -> Fix:
        """Return the command that logs in where the account's login is believed to be, and what to do `then`."""
        folder, said = self.status.folder, self.account.config_dir
        if folder is None and said is not None:
            folder = for_claude_code(said)
        return start_claude(folder or "", f", then /login{then}")

    @property
    def place(self) -> str:
        """The source of the token, which a keyring that cannot be read is not."""
        storage, folder = self.status.storage or Storage.KEYRING, self.status.folder
        if storage is Storage.KEYRING and self.keyring is not None:
            storage = Storage.LINKED
        if storage is Storage.LINKED and folder is not None:
            return f"{_PLACES[storage]}, {folder or DEFAULT},"
        return _PLACES[storage]


UNSENT: Final = Question("account", "figures are booked on the account that Claude Code names")


def unsent_check(title: str, account: Account, facts: CachedAccount) -> Check:
    """Check an account where the API is not asked: is it known which of Claude Code's figures are its own?"""
    if account.auth_method is AuthMethod.SESSION_KEY:
        return UNSENT.warn(
            f"{title}: a session key is of no use while api.enabled = false",
            "log in by `claude` /login, then `monitor accounts import`",
        )
    if facts.identity is None:
        found = f"{title}: it is not known which of Claude Code's logins is its own"
        return UNSENT.warn(found, "`monitor accounts import --all`")
    return UNSENT.ok(f"{title}: it needs no token (api.enabled = false)")


def account_check(facts: TokenFacts, now: datetime, *, is_running: bool) -> Check:
    """Return the check of the account's token, or of its last poll where the token does not explain that failure.

    `is_running` says that a monitor runs now, and will poll again.
    """
    check, failure = _token_check(facts, now), facts.failed
    if failure is None:
        return check
    is_passing = failure.reason in _PASSING
    # A token that has expired explains a refusal, and what passes by itself; a missing one explains anything.
    if check.outcome is Outcome.WARN and (failure.reason is Reason.AUTH or is_passing):
        return check
    if check.outcome is Outcome.FAIL:
        return check
    problem, advice = explain(failure)
    if failure.cause is Cause.LEFT_OUT:
        return READING.warn(f"{facts.title}: {problem}", _UPGRADE)
    words = "cannot be read" if is_running else "could not be read when it was asked last"
    found = f"{facts.title}: it {words} ({failure.reason}): {problem}"
    if is_passing:
        return READING.warn(found, _PASSING[failure.reason])
    fix: Fix | str
    if failure.reason in LOGIN_REASONS:
        fix = _login_advice(failure.reason, facts)
    elif failure.cause is Cause.NO_LIMITS:
        fix = f"wait: {_BY_ITSELF}"
    elif failure.reason is Reason.SCHEMA:
        fix = _UPGRADE
    else:
        fix = advice or f"`monitor accounts import`; if it stays so, {facts.log_in().text}"
    return READING.fail(found, fix)


def _token_check(facts: TokenFacts, now: datetime) -> Check:
    """Warn of a token that has only expired, since Claude Code renews it; a missing one is a failure."""
    status, failure, title = facts.status, facts.status.failure, facts.title
    ends = status.expires_at
    if failure is None:
        left = f" for {duration(ends - now)}" if ends else ", no end known"
        return ACCOUNT.ok(f"{title}: {facts.place} has its token{left}")
    if status.storage is Storage.SYSTEMD and not facts.is_given:
        found = "only the service itself is given them"
        return ACCOUNT.skip(f"{title}: {_PLACES[Storage.SYSTEMD]}: {found}")
    is_of_keyring = failure == facts.keyring or (
        failure.cause is Cause.NO_KEYRING and failure.source is not Source.KEYCHAIN
    )
    if facts.keyring is not None and is_of_keyring:
        return ACCOUNT.skip(f"{title}: the keyring could not be asked, see above")
    if failure.cause is Cause.UNIDENTIFIED:
        return ACCOUNT.skip(f"{title}: only the API knows whose login is there; it is not asked")
    problem, advice = explain(failure)
    fix = _advice_without_token(facts, failure) or advice or "look whether it works by hand"
    if ends is not None and ends <= now and failure.cause is not Cause.LOGIN_ENDED:
        expired = f"expired {age(now - ends)} ago, at {minute(ends)}"
        return ACCOUNT.warn(f"{title}: {facts.place}: {expired} ({problem})", fix)
    check = ACCOUNT.warn if failure.cause is Cause.WAITING else ACCOUNT.fail
    return check(f"{title}: {problem}", fix)


def _advice_without_token(facts: TokenFacts, failure: Failure) -> Fix | str:
    """Advice for an account that never had a token, where the doctor has more room for it than the table."""
    if failure.cause is not Cause.ABSENT:
        return ""
    if failure.source is Source.SESSION_KEY:
        return _ENTER_KEY
    if failure.source is Source.LOGIN and facts.status.storage is Storage.LINKED:
        named = failure.folder is not None
        return "" if named else facts.log_in('; or name its folder: config_dir = "~/.claude"')
    return ""


def mask_names(failure: Failure, names: Set[str]) -> Failure:
    """Mask these accounts' names in the failure, for a page that strangers may see."""
    name = mask(failure.name) if failure.name in names else failure.name
    owner = mask(failure.owner or "") if failure.owner in names else failure.owner
    return replace(failure, name=name, owner=owner)


def failures_of(accounts: Mapping[str, AccountState]) -> dict[str, Failure]:
    """Return by name the accounts that fail, if only to read some of their figures."""
    failed = {}
    for name, account in accounts.items():
        if account.down is not None:
            failed[name] = account.down.failure
        elif account.usage is not None and account.usage.left_out:
            words = clean("; ".join(account.usage.left_out))
            failed[name] = Failure(Reason.SCHEMA, Cause.LEFT_OUT, detail=words)
    return failed


def _login_advice(reason: Reason, facts: TokenFacts) -> Fix | str:
    if facts.account.auth_method is AuthMethod.SESSION_KEY:
        return _ENTER_KEY
    token = "a new one" if reason is Reason.AUTH else _NOT_OF_SETUP
    match facts.status.storage:
        case Storage.COMMAND:
            return f"let the command print {token}"
        case Storage.SYSTEMD:
            return f"encrypt {token}, and restart the unit"
    return facts.log_in("" if reason is Reason.AUTH else "; and then `monitor accounts import`")
