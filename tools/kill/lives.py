"""A notifier over a ledger on the disk, which can be left at any moment and started again."""

from pathlib import Path
from typing import Any

from monitor.core.effects import AlertKind, Notify
from monitor.core.state import State
from monitor.notify.channel import Channel
from monitor.notify.journal import LoggedJournal
from monitor.storage.ledger import DeliveryLog, Stage
from tests.builders import before
from tests.fakes import FakeClock
from tools.kill.bench import Bench, alert


class Life(Bench):
    """One life of the delivering part of the program."""

    def __init__(
        self, folder: Path, *channels: Channel, clock: FakeClock | None = None, **options: Any
    ) -> None:
        clock = clock or FakeClock()
        self.folder = folder
        self.ledger = DeliveryLog(folder / "alerts.db", clock.now(), busy_secs=0)
        super().__init__(*channels, clock=clock, journal=LoggedJournal(self.ledger), **options)

    def again(self, *channels: Channel, **options: Any) -> "Life":
        """The next life, at the same instant."""
        return Life(self.folder, *channels, clock=self.clock, **options)

    async def decide(self, *accounts: str, kind: AlertKind = AlertKind.THRESHOLD) -> None:
        """Let alerts be decided now, and their burst pass by."""
        effects = [Notify(alert(account, kind, at=self.clock.now())) for account in accounts]
        for effect in self.ledger.record(State(), State(), effects):
            self.effects.put_nowait(effect)
        await self.pass_by(0.4)

    def stages(self) -> dict[str, Stage]:
        """How far each alert has come, by account."""
        return {entry.alert.account: entry.stage for entry in self.ledger.since(before(days=99))}
