"""Every kind of alert on a real desktop, beside a webhook that hangs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.state import State
from monitor.notify.channels import build_channel_set
from monitor.notify.queue import Notifier
from monitor.settings import load
from monitor.storage.deliveries import Journal, StoredAlert
from monitor.system.clock import SystemClock
from tests.fakes import inline_recorder
from tests.real.desktop import Desktop, Notice, desktop
from tools.kill.bench import FakeStore

KINDS = [kind for kind in AlertKind if kind not in (AlertKind.SUMMARY, AlertKind.TEST)]


@asynccontextmanager
async def hanging_server() -> AsyncIterator[str]:
    """Takes every request and answers none."""
    over = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        over.set()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def notifying(settings: str, folder: Path) -> AsyncIterator[asyncio.Queue[StoredAlert]]:
    """A notifier over the channels of these settings, and the queue that it takes from."""
    file = folder / "config.toml"
    file.write_text(settings)
    channels = build_channel_set(load(file), None, SystemClock())
    store, recorder = FakeStore(State()), inline_recorder()
    notifier = Notifier(channels, store, SystemClock(), Journal(recorder))
    task = asyncio.create_task(notifier.run())
    try:
        yield recorder.decided
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    with desktop(tmp_path) as found:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", found.bus.address)
        yield found


async def arrival(shown: Desktop, count: int) -> list[Notice]:
    """The notices on the desktop, once there are so many."""
    for _ in range(500):
        notices = await asyncio.to_thread(shown.history)
        if len(notices) >= count:
            return notices
        await asyncio.sleep(0.02)
    raise AssertionError(f"{count} notices: not within ten seconds")


def alert(kind: AlertKind) -> Alert:
    now = SystemClock().now()
    return Alert(kind, "user@work.com", "5h", now, 0.87, resets_at=now, detail="other@work.com")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_desktop_shows_every_kind_of_alert(
    kind: AlertKind, shown: Desktop, tmp_path: Path
) -> None:
    async with notifying("", tmp_path) as decided:
        decided.put_nowait(StoredAlert(alert(kind), "key"))
        (notice,) = await arrival(shown, 1)
    assert notice.appname == "Claude Tracker"
    assert notice.summary
    assert notice.body


async def test_a_webhook_that_hangs_does_not_hold_up_the_desktop(
    shown: Desktop, tmp_path: Path
) -> None:
    async with hanging_server() as url:
        settings = (
            '[notifications]\nchannels = ["webhook", "desktop"]\nfan_out = true\n'
            f'[channels.webhook]\nurl = "{url}"\ntimeout_secs = 60\n'
        )
        async with notifying(settings, tmp_path) as decided:
            for count in (1, 2, 3):
                began = time.monotonic()
                decided.put_nowait(StoredAlert(alert(AlertKind.THRESHOLD), f"key {count}"))
                assert len(await arrival(shown, count)) == count, "while the webhook hangs"
                print(f"on the desktop after {time.monotonic() - began:.2f} s")
