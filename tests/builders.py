"""Short ways to build the values that tests speak of. `NOW` is a fixed instant; nothing here asks the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.errors import Failure, Reason
from monitor.core.model import Account, AccountState, Down, Usage, Window
from monitor.core.state import Policy, State

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def after(**units: float) -> datetime:
    """An instant after `NOW`: `after(minutes=5)`."""
    return NOW + timedelta(**units)


def before(**units: float) -> datetime:
    """An instant before `NOW`."""
    return NOW - timedelta(**units)


def window(key: str, percent: float, resets_in: timedelta | None = None) -> Window:
    """A window at a percentage; without `resets_in`, none is open."""
    return Window(key, percent / 100, None if resets_in is None else NOW + resets_in)


def usage(*windows: Window, at: datetime = NOW) -> Usage:
    return Usage(at, windows)


def live(name: str, *windows: Window, at: datetime = NOW, **changes: Any) -> AccountState:
    """An account whose last poll, at `at`, brought these windows."""
    values: dict[str, Any] = {
        "account": Account(name, org_id=f"org-{name}"),
        "next_poll_at": at + timedelta(seconds=180),
        "interval": timedelta(seconds=180),
        "usage": usage(*windows, at=at),
        "last_success_at": at,
        "polls": 1,
        "requests": (at,),
    }
    return AccountState(**{**values, **changes})


def failing(state: AccountState, reason: Reason, detail: str = "", **changes: Any) -> AccountState:
    """The same account, whose newest poll failed."""
    return replace(
        state,
        down=Down(NOW, Failure(reason, detail=detail)),
        failures={**state.failures, reason: 1},
        failures_in_a_row=1,
        **changes,
    )


def waiting(name: str, **changes: Any) -> AccountState:
    """An account that was never polled."""
    values: dict[str, Any] = {
        "account": Account(name, org_id=f"org-{name}"),
        "next_poll_at": NOW,
        "interval": timedelta(seconds=180),
    }
    return AccountState(**{**values, **changes})


def state(*accounts: AccountState, **changes: Any) -> State:
    return State(
        **{"policy": Policy(), "accounts": {a.account.name: a for a in accounts}, **changes}
    )
