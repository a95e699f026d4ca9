"""The desktop channel against dunst, and against a daemon on the bus that shows what dunst's history does not."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from dbus_fast import Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError
from monitor.notify.channels import desktop as under_test
from tests.builders import NOW, after
from tests.fakes import settle
from tests.notify.receiver import delivery
from tests.real import desktop as real
from tests.real.bus import private_bus

ALERT = Alert(
    AlertKind.THRESHOLD,
    "R&D <b>user</b>",
    "5h",
    NOW,
    utilization=0.87,
    threshold=0.8,
    resets_at=after(minutes=38),
)
TITLE = "R&D <b>user</b>: 5h at 87%"


def channel(limit: float = 5.0) -> under_test.Desktop:
    return under_test.Desktop(markup=True, limit=limit)


@pytest.fixture(autouse=True)
def _no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is told nothing."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)


@pytest.fixture
def dunst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[real.Desktop]:
    with real.desktop(tmp_path) as desktop:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", desktop.bus.address)
        yield desktop


async def test_an_alert_arrives_with_its_text_as_typed(dunst: real.Desktop) -> None:
    desktop = channel()
    await desktop.send(*delivery(ALERT))
    desktop.close()
    notice = real.Notice(TITLE, "Passed 80%. Resets at 12:38 (in 38m).", "Claude Tracker")
    assert dunst.history() == [notice]


async def test_several_alerts_arrive_as_one_notice_with_a_line_each(dunst: real.Desktop) -> None:
    desktop = channel()
    await desktop.send(*delivery(ALERT, replace(ALERT, account="other", resets_at=None)))
    desktop.close()
    lines = "R&amp;D &lt;b&gt;user&lt;/b&gt;: 5h at 87%, resets at 12:38\nother: 5h at 87%"
    notice = real.Notice("Claude Tracker: 2 alerts", lines, "Claude Tracker")
    assert dunst.history() == [notice]


async def test_markup_in_a_body_arrives_escaped(dunst: real.Desktop) -> None:
    desktop = under_test.Desktop(markup=True)
    await desktop.send(Message("t", "<b>R&D</b>"), [ALERT])
    desktop.close()
    assert [notice.body for notice in dunst.history()] == ["&lt;b&gt;R&amp;D&lt;/b&gt;"]


async def test_twenty_five_alerts_in_a_row_all_arrive_in_order(dunst: real.Desktop) -> None:
    desktop = channel()
    for number in range(25):
        await desktop.send(*delivery(replace(ALERT, account=f"user-{number}")))
    desktop.close()
    titles = [notice.summary for notice in dunst.history()]
    assert titles == [f"user-{number}: 5h at 87%" for number in range(25)]


async def test_a_daemon_that_hangs_is_given_up_and_used_again_once_it_answers(
    dunst: real.Desktop,
) -> None:
    desktop = channel(limit=1.5)
    dunst.daemon.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ChannelError) as failure:
            await desktop.send(*delivery(ALERT))
    finally:
        dunst.daemon.send_signal(signal.SIGCONT)
    assert failure.value.reason == "timeout"
    another = channel()
    await another.send(*delivery(replace(ALERT, account="another")))  # waits for it to be awake
    await desktop.send(*delivery(ALERT))
    another.close()
    desktop.close()
    assert TITLE in [notice.summary for notice in dunst.history()]


async def test_a_daemon_that_is_restarted_is_used_again(
    dunst: real.Desktop, tmp_path: Path
) -> None:
    desktop = channel()
    await desktop.send(*delivery(ALERT))
    dunst.daemon.terminate()
    dunst.daemon.wait(5)
    with pytest.raises(ChannelError, match="did not take it"):
        await desktop.send(*delivery(ALERT))
    with real.dunst(tmp_path, dunst.bus, dunst.env["DISPLAY"]) as restarted:
        await desktop.send(*delivery(ALERT))
        desktop.close()
        assert [notice.summary for notice in restarted.history()] == [TITLE]


async def test_a_restarted_session_bus_is_used_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop = channel(limit=2)
    for _ in range(2):
        with real.desktop(tmp_path) as session:
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session.bus.address)
            await desktop.send(*delivery(ALERT))
            assert [notice.summary for notice in session.history()] == [TITLE]
        await settle()  # the end of the connection is seen
    desktop.close()


async def test_without_a_bus_nothing_is_told() -> None:
    with pytest.raises(ChannelError, match="no D-Bus session") as e:
        await channel().send(*delivery(ALERT))
    assert e.value.reason == "unavailable"


async def test_a_bus_that_is_gone_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/nothing")
    with pytest.raises(ChannelError, match="no notification service answers"):
        await channel().send(*delivery(ALERT))


async def test_a_bus_without_a_daemon_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_bus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        with pytest.raises(ChannelError, match="no notification service answers"):
            await channel().send(*delivery(ALERT))


async def test_a_failing_daemon_costs_no_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_bus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        desktop = channel()
        counts = []
        for _ in range(5):
            with pytest.raises(ChannelError):
                await desktop.send(*delivery(ALERT))
            await settle()  # the closed connection is taken off the loop
            counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[-1] == counts[0]


class FakeDaemon(ServiceInterface):
    """A notification service that keeps every argument of every call."""

    def __init__(self) -> None:
        super().__init__(real.NAME)
        self.calls: list[dict[str, Any]] = []

    @dbus_method(name="Notify")
    def notify(
        self,
        app_name: DBusStr,
        replaces_id: DBusUInt32,  # noqa: ARG002 - the interface's
        app_icon: DBusStr,
        summary: DBusStr,
        body: DBusStr,
        actions: Annotated[list[str], DBusSignature("as")],  # noqa: ARG002 - the interface's
        hints: Annotated[dict[str, Variant], DBusSignature("a{sv}")],
        expire_timeout: DBusInt32,
    ) -> DBusUInt32:
        urgency = hints["urgency"].value
        self.calls.append(
            {
                "app": app_name,
                "icon": app_icon,
                "summary": summary,
                "body": body,
                "urgency": urgency,
                "timeout": expire_timeout,
            }
        )
        return len(self.calls)

    @dbus_method(name="GetCapabilities")
    def capabilities(self) -> Annotated[list[str], DBusSignature("as")]:
        return ["body", "body-markup"]

    @dbus_method(name="GetServerInformation")
    def information(self) -> Annotated[tuple[str, str, str, str], DBusSignature("ssss")]:
        return "fake", "tests", "1", "1.2"


@asynccontextmanager
async def fake_daemon(address: str) -> AsyncIterator[FakeDaemon]:
    bus = await MessageBus(bus_address=address).connect()
    daemon = FakeDaemon()
    bus.export("/org/freedesktop/Notifications", daemon)
    await bus.request_name(real.NAME)
    yield daemon
    bus.disconnect()
    await settle()


async def test_urgency_name_and_icon_are_as_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_bus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        async with fake_daemon(bus.address) as daemon:
            desktop = channel()
            await desktop.send(*delivery(ALERT))
            await desktop.send(*delivery(replace(ALERT, utilization=1.0, threshold=1.0)))
            desktop.close()
    calm, urgent = daemon.calls
    assert calm == {
        "app": "Claude Tracker",
        "icon": "",
        "summary": TITLE,
        "body": "Passed 80%. Resets at 12:38 (in 38m).",
        "urgency": 1,
        "timeout": -1,
    }
    assert (urgent["summary"], urgent["urgency"]) == ("R&D <b>user</b>: 5h limit reached", 2)
