"""Key `m` in the table, and the title that says for how long no alerts come."""

import asyncio
import os
import pty
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.core.errors import TrackerError
from monitor.core.events import Muted
from monitor.core.model import Secret
from monitor.core.state import NotificationLog, State
from monitor.store import Store
from monitor.terminal.bindings import press
from monitor.terminal.canvas import Size
from monitor.terminal.commands import Mute
from monitor.terminal.form import add_form
from monitor.terminal.frame import frame
from monitor.terminal.keys import Key
from monitor.terminal.program import Program
from monitor.terminal.screen import Pane, Screen, said
from monitor.terminal.tty import Device
from tests.builders import NOW, after, live, state
from tests.fakes import FakeClock, settle

ONE = state(live("user@work.com"))


def title(shown: State, screen: Screen | None = None, now: datetime = NOW, width: int = 100) -> str:
    picture = frame(shown, screen or Screen(), now, Size(width, 24), UTC)
    return picture.text.split("\n")[0]


def test_the_title_says_that_alerts_cannot_be_written_down() -> None:
    broken = replace(ONE, ledger_failure="/x/alerts.db: the disk is full")
    assert "alerts cannot be written down" in title(broken)
    assert "written down" not in title(ONE)


@pytest.mark.parametrize("shown", [ONE, State()], ids=["accounts", "none"])
def test_the_key_orders_a_mute(shown: State) -> None:
    assert press(Screen(), Key("m", "m"), shown, NOW) == (Screen(), Mute())


def test_in_a_form_the_key_is_a_letter() -> None:
    screen, order = press(Screen(dialog=add_form()), Key("m", "m"), ONE, NOW)
    assert order is None
    assert screen.dialog != add_form()


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (after(hours=2, minutes=5), "muted until 14:05"),
        (after(hours=20), "muted until Mon 08:00"),
        (NOW, None),
        (None, None),
    ],
)
def test_the_title_says_until_when(until: datetime | None, words: str | None) -> None:
    shown = title(replace(ONE, muted_until=until))
    assert (words or "muted") in shown or words is None
    assert ("muted" in shown) == (words is not None)


def test_a_message_comes_before_the_mute_and_the_mute_before_an_old_failure() -> None:
    log = NotificationLog(last_at=NOW, last_channel="desktop", last_failure="timeout")
    muted = replace(ONE, muted_until=after(hours=1), notifications=log)
    assert "muted until 13:00" in title(muted)
    assert "Refreshing" in title(muted, said(Screen(), "Refreshing", NOW))
    assert "desktop alert failed" in title(muted, now=after(hours=1))


def test_a_narrow_title_holds_what_it_can() -> None:
    muted = replace(ONE, muted_until=after(hours=1))
    assert all(len(title(muted, width=width)) <= width for width in range(1, 60))


def test_the_help_names_the_key() -> None:
    page = frame(ONE, Screen(pane=Pane.HELP), NOW, Size(100, 40), UTC).text
    assert "mute alerts for an hour" in page


@dataclass
class MuteControls:
    """Controls that can mute, and nothing else."""

    store: Store
    refused: bool = False

    async def mute(self) -> str:
        if self.refused:
            raise TrackerError("mute.json: cannot be written: No space left on device")
        self.store.dispatch(Muted(NOW, NOW + timedelta(hours=1)))
        return "alerts are muted"

    async def refresh(self, account: str | None) -> str:
        raise NotImplementedError(account)

    async def import_logins(self) -> str:
        raise NotImplementedError

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        raise NotImplementedError(name, session_key, org_id)

    async def edit(self, name: str, new_name: str, session_key: Secret | None, org_id: str) -> str:
        raise NotImplementedError(name, new_name, session_key, org_id)

    async def remove(self, name: str) -> str:
        raise NotImplementedError(name)

    async def use(self, name: str) -> str:
        raise NotImplementedError(name)


@pytest.mark.parametrize(
    ("refused", "answer"), [(False, b"alerts are muted"), (True, b"cannot be written")]
)
async def test_a_running_table_mutes_or_says_why_it_cannot(refused: bool, answer: bytes) -> None:
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    store = Store(ONE)
    controls = MuteControls(store, refused)
    running = asyncio.create_task(
        Program(store, FakeClock(), controls, Device(os.ttyname(slave))).run()
    )
    await settle()
    os.write(master, b"m")
    shown = b""
    async with asyncio.timeout(10):
        while answer not in shown:
            await asyncio.sleep(0.01)  # what is written comes back by way of the kernel
            shown += _read(master)
    os.write(master, b"q")
    await running
    os.close(master)
    os.close(slave)
    assert (store.state.muted_until is None) == refused


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""
