"""What the killed program lives through: five accounts that fill up and are reset together, for ever. Pure.

Each step is a round of polls, five minutes after the one before; each but the last of a period leads to a burst
of alerts.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.rules import Alert, RuleBook
from monitor.core.events import AccountsLoaded, Event, PollSucceeded, Ticked
from monitor.core.model import Account, Usage, Window
from monitor.core.state import Policy, State
from monitor.core.update import update
from monitor.storage.deliveries import key_of
from tests.builders import NOW

STEP: Final = timedelta(minutes=5)
PERCENTS: Final = (5, 81, 96, 100, 100)
WINDOWS: Final = ("5h", "7d_opus")
RULES: Final = RuleBook()

ACCOUNTS: Final = tuple(Account(name, org_id=f"org-{name}") for name in "abcde")


def instant(step: int) -> datetime:
    """When the step begins."""
    return NOW + step * STEP


def fresh() -> State:
    """The state of a process that knows nothing yet."""
    return State(Policy(alerts=RULES))


def loaded(at: datetime) -> Event:
    return AccountsLoaded(at, ACCOUNTS)


def events(step: int) -> Iterator[Event]:
    """What happens in the step; the same whenever it is asked for."""
    for place, account in enumerate(ACCOUNTS):
        at = instant(step) + timedelta(seconds=place)
        yield PollSucceeded(at, account.name, Usage(at, _windows(step)), timedelta(seconds=1))
    yield Ticked(instant(step) + timedelta(seconds=len(ACCOUNTS)))


def _windows(step: int) -> tuple[Window, ...]:
    period, place = divmod(step, len(PERCENTS))
    end = instant((period + 1) * len(PERCENTS)) - timedelta(minutes=1)
    return tuple(Window(key, PERCENTS[place] / 100, end) for key in WINDOWS)


def identities(steps: int) -> set[str]:
    """What is to be told of the first steps, as a process that nobody kills has it."""
    state, told = fresh(), set()
    for event in (loaded(instant(0)), *(e for step in range(steps) for e in events(step))):
        state, alerts = update(state, event)
        told |= {identity(alert, state) for alert in alerts}
    return told


def identity(alert: Alert, state: State) -> str:
    account = state.accounts.get(alert.account)
    return key_of(alert, account.account.org_id if account else "").replace("\x1f", "|")
