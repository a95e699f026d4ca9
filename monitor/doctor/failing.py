"""What the polls know of an account and no look at its token can show: why the last one failed. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Final

from monitor.core.errors import Failure, Reason, command, explain
from monitor.core.model import LOGIN_REASONS, AccountState, AuthMethod, Down, Storage
from monitor.doctor.check import Check, Outcome, Question
from monitor.doctor.privacy import masked
from monitor.doctor.tokens import TokenFacts, bring, renew

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
    if failed is None or _is_said(check, failed):
        return check
    whose = "cannot be read" if failed.is_running else "could not be read when it was asked last"
    problem, fix = _problem(failed, facts)
    found = f"{facts.title}: it {whose} ({failed.failure.reason}): {problem}"
    if failed.failure.reason in _PASSING:
        return READING.warn(found, fix)
    return READING.fail(found, fix)


def _is_said(check: Check, failed: Failed) -> bool:
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
