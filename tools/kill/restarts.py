"""A store over a state database on the disk, which can be left and started again as a program is."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from monitor.core.events import AccountsLoaded, Event, PollSucceeded, Restored
from monitor.core.model import Account, Usage, Window
from monitor.core.state import Policy, State
from monitor.storage.cache import Cached, read
from monitor.storage.deliveries import StoredAlert
from monitor.storage.recorder import Recorder
from monitor.store import Store
from tests.builders import after
from tests.fakes import inline_recorder

END = after(hours=3)


def sample(
    account: str, minute: float, percent: float, end: datetime | None = END
) -> PollSucceeded:
    """One poll: minutes after `NOW`, a percentage of the 5-hour window, and the end that the server names."""
    at = after(minutes=minute)
    usage = Usage(at, (Window("5h", percent / 100, end),))
    return PollSucceeded(at, account, usage, after(seconds=1) - after())


def loaded(at: datetime, *names: str, **renamed: str) -> AccountsLoaded:
    accounts = tuple(Account(name, org_id=f"org-{name}") for name in names)
    return AccountsLoaded(at, accounts, renamed={old: new for new, old in renamed.items()})


class Process:
    """One life of the program, as far as it decides what is told."""

    def __init__(
        self,
        folder: Path,
        at: datetime,
        accounts: Sequence[Account] = (Account("a", "org-a"), Account("b", "org-b")),
        policy: Policy | None = None,
    ) -> None:
        self.recorder = inline_recorder(folder)
        self.store = Store(State(policy or Policy()), self.recorder.record)
        self.store.dispatch(restored(read(folder / "state.db", ""), at))
        self.store.dispatch(AccountsLoaded(at, tuple(accounts)))

    def lives_through(self, *events: Event) -> list[str]:
        """What was told because of these, as `account rule`."""
        for event in events:
            self.store.dispatch(event)
        alerts = [stored.alert for stored in taken(self.recorder)]
        return [f"{alert.account} {alert.rule}".strip() for alert in alerts]

    async def dies(self) -> None:
        await self.recorder.database.close()


def taken(recorder: Recorder) -> list[StoredAlert]:
    """The alerts that were released to be sent, and that nobody has taken yet."""
    return [recorder.decided.get_nowait() for _ in range(recorder.decided.qsize())]


def restored(cached: Cached, at: datetime) -> Restored:
    """What an earlier process has left."""
    return Restored(at, cached.accounts, cached.conditions)
