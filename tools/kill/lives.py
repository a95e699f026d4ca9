"""A notifier over a state database on the disk, which can be left at any moment and started again."""

from pathlib import Path
from typing import Any

from monitor.core.alerts.rules import AlertKind
from monitor.core.state import State
from monitor.notify.channel import Channel
from monitor.storage import deliveries
from monitor.storage.db import read_only
from monitor.storage.deliveries import Stage, StoredAlert
from tests.builders import before
from tests.fakes import FakeClock, inline_recorder
from tools.kill.bench import Bench, alert


class Life(Bench):
    """One life of the delivering part of the program."""

    def __init__(
        self, folder: Path, *channels: Channel, clock: FakeClock | None = None, **options: Any
    ) -> None:
        clock = clock or FakeClock()
        self.folder = folder
        super().__init__(*channels, clock=clock, recorder=inline_recorder(folder), **options)

    def again(self, *channels: Channel, **options: Any) -> "Life":
        """The next life, at the same instant."""
        return Life(self.folder, *channels, clock=self.clock, **options)

    async def decide(self, *accounts: str, kind: AlertKind = AlertKind.THRESHOLD) -> None:
        """Let alerts be decided now, and their burst pass by."""
        alerts = [alert(account, kind, at=self.clock.now()) for account in accounts]
        self.recorder.record(State(), State(), alerts)
        await self.pass_by(0.4)

    def stored(self) -> list[StoredAlert]:
        """Every alert that was decided, oldest first."""
        return stored(self.folder)

    def stages(self) -> dict[str, Stage]:
        """How far each alert has come, by account."""
        return {one.alert.account: one.stage for one in self.stored()}


def stored(folder: Path, settings: str = "") -> list[StoredAlert]:
    """Every alert that was decided, oldest first, as another process reads it."""
    nothing: list[StoredAlert] = []
    path = folder / "state.db"
    return read_only(path, lambda db: deliveries.since(db, settings, before(days=99)), nothing)
