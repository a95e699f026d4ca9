"""What the polls know of an account and no look at its token can show: why the last one failed. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from monitor.core.errors import Reason
from monitor.core.model import LOGIN_REASONS, AccountState, AuthMethod, Down, Storage
from monitor.credentials.hints import command
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

_REASONS: Final = frozenset(str(reason) for reason in Reason)

_NOT_OF_SETUP: Final = (
    "the token of a login (`claude`, then /login), not one of `claude setup-token`"
)


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the last poll of an account failed; `is_running` says that a monitor runs now, and will poll again."""

    reason: Reason
    detail: str
    is_running: bool = True

    def without(self, name: str) -> "Failed":
        """The same, fit for the page: details were written for the account's owner, and may name it."""
        word = rf"(?<![\w']){re.escape(name)}(?![\w'])"  # within quotes it is known to be a name
        return replace(self, detail=re.sub(word, lambda _: masked(name), self.detail))


def failures_told(document: Mapping[str, Any]) -> dict[str, Failed]:
    """By account, from the running monitor's `status --json`; what is not understood is left out."""
    return dict(_told(document.get("accounts")))


def _told(accounts: object) -> Iterator[tuple[str, Failed]]:
    for account in accounts if isinstance(accounts, list) else ():
        match account:
            case {"name": str(name), "failure": {"reason": str(reason), "detail": str(detail)}}:
                if reason in _REASONS:
                    yield name, Failed(Reason(reason), detail)


def failures_kept(accounts: Mapping[str, AccountState]) -> dict[str, Failed]:
    """By account, from what the last monitor has left behind."""
    healths = {name: account.health for name, account in accounts.items()}
    return {
        name: Failed(health.reason, health.detail, is_running=False)
        for name, health in healths.items()
        if isinstance(health, Down)
    }


def with_failure(check: Check, facts: TokenFacts, failed: Failed | None) -> Check:
    """The check of the account's token, unless that does not say why the account fails."""
    if failed is None or _is_said(check, failed):
        return check
    whose = "cannot be read" if failed.is_running else "could not be read when it was asked last"
    problem, fix = _problem(failed, facts)
    found = f"{facts.title}: it {whose} ({failed.reason}): {problem}"
    if failed.reason in _PASSING:
        return READING.warn(found, fix)
    return READING.fail(found, fix)


def _is_said(check: Check, failed: Failed) -> bool:
    """A token that has expired explains a refusal, and what passes by itself; one that is missing, anything."""
    if check.outcome is Outcome.WARN:
        return failed.reason is Reason.AUTH or failed.reason in _PASSING
    return check.outcome is Outcome.FAIL


def _problem(failed: Failed, facts: TokenFacts) -> tuple[str, str]:
    """What is wrong, and what mends it: the failure's own advice, where it names a command."""
    problem, _, advice = failed.detail.partition(": ")
    if failed.reason in _PASSING:
        return failed.detail, _PASSING[failed.reason]
    if failed.reason in LOGIN_REASONS:
        return problem, _login(failed.reason, facts)
    if failed.reason is Reason.SCHEMA:
        return failed.detail, "`pip install --upgrade claude-tracker`: the API may have changed"
    if "`" in advice:
        return problem, advice
    return failed.detail, f"`monitor accounts import`; if it stays so, {_start(facts)}"


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
