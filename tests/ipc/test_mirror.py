"""The mirror against a real server, and against a leader that is killed or stopped; and the view that follows it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.events import Muted
from monitor.core.model import Account
from monitor.core.state import LoggedAlert, State
from monitor.ipc.broadcast import Stream
from monitor.ipc.mirror import (
    LeaderGone,
    StateMirror,
    StateView,
    apply_line,
    encode_change,
    encode_state,
)
from monitor.ipc.server import Limits
from monitor.store import Store
from tests.builders import NOW, after, live, state, waiting, window
from tests.fakes import settle
from tests.ipc.fakes import ROOT, leader
from tests.ipc.handlers import FakeHandler, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker" / "socket"


async def mirror_of(path: Path, silent_secs: float = 6.0) -> StateMirror:
    mirror = await StateMirror.connect(str(path), silent_secs)
    assert mirror is not None
    return mirror


async def test_nobody_to_mirror_is_none(path: Path) -> None:
    assert await StateMirror.connect(str(path)) is None


async def test_a_connection_that_comes_when_nobody_waits_any_more_is_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))  # the queue is full: who dials now has to wait
        dialling = asyncio.create_task(StateMirror.connect(str(path)))
        await asyncio.sleep(0.05)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        listener.accept()[0].close()
        accepted, _ = await asyncio.to_thread(listener.accept)
        with accepted:
            accepted.settimeout(5)
            assert await asyncio.to_thread(accepted.recv, 1) == b""


async def test_a_mirror_has_a_state_at_once_and_follows(path: Path) -> None:
    async with serving(path) as handler:
        handler.show(7)
        mirror = await mirror_of(path)
        assert mirror.state.active == 7
        following = asyncio.create_task(mirror.follow())
        for number in (8, 9):
            waiting = asyncio.create_task(mirror.changed())
            await asyncio.sleep(0)
            handler.show(number)
            async with asyncio.timeout(2):
                assert (await waiting).active == number
        assert mirror.state.active == 9
    with pytest.raises(LeaderGone) as gone:
        await asyncio.wait_for(following, 1)
    assert not gone.value.silent
    assert mirror.state.active == 9


async def test_a_quiet_leader_is_not_silent(path: Path) -> None:
    async with serving(path, limits=Limits(beat_secs=0.05)):
        mirror = await mirror_of(path, silent_secs=0.3)
        following = asyncio.create_task(mirror.follow())
        await asyncio.sleep(0.5)
        assert not following.done()
        mirror.close()
        with pytest.raises(LeaderGone):
            await asyncio.wait_for(following, 1)


async def test_a_killed_leader_is_gone_at_once(path: Path) -> None:
    with leader(path.parent) as process:
        mirror = await mirror_of(path)
        following = asyncio.create_task(mirror.follow())
        async with asyncio.timeout(2):
            await mirror.changed()
        begun = time.monotonic()
        process.send_signal(signal.SIGKILL)
        with pytest.raises(LeaderGone) as gone:
            await following
        assert (gone.value.silent, time.monotonic() - begun < 0.5) == (False, True)


async def test_a_stopped_leader_is_silent_and_can_be_mirrored_again_later(path: Path) -> None:
    with leader(path.parent) as process:
        mirror = await mirror_of(path, silent_secs=0.3)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(LeaderGone) as gone:
            await asyncio.wait_for(mirror.follow(), 2)
        assert gone.value.silent
        with pytest.raises(LeaderGone) as gone:
            await StateMirror.connect(str(path), 0.3)
        assert gone.value.silent
        process.send_signal(signal.SIGCONT)
        (await mirror_of(path)).close()


STOPS_ITSELF = """
import asyncio, sys, threading, time
from monitor.ipc.mirror import StateMirror

async def main():
    mirror = await StateMirror.connect(sys.argv[1], 0.6)
    following = asyncio.create_task(mirror.follow())
    await mirror.changed()
    time.sleep(1.5)  # as if it had been stopped, or were busy
    await mirror.changed()
    await mirror.changed()
    print("follows" if not following.done() else "given up")

asyncio.run(main())
"""


async def test_a_viewer_that_was_stopped_itself_does_not_blame_the_leader(path: Path) -> None:
    with leader(path.parent):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", STOPS_ITSELF, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == ("follows\n", "")


class RefusingHandler(FakeHandler):
    async def answer(self, _request: Mapping[str, Any]) -> Stream:
        if self.padding:
            return Stream("other", lambda: self.padding, asyncio.Event().wait)
        raise SettingsError("not to be seen")


async def test_a_leader_that_refuses_says_why(path: Path) -> None:
    async with serving(path, RefusingHandler()):
        with pytest.raises(TrackerError, match=r"^not to be seen$"):
            await StateMirror.connect(str(path))


@pytest.mark.parametrize("document", ["{", "[]", '{"other": 1}', "7"])
async def test_a_state_that_cannot_be_read_is_one_line(path: Path, document: str) -> None:
    handler = RefusingHandler()
    handler.padding = document
    async with serving(path, handler):
        with pytest.raises(TrackerError, match="is of another version"):
            await StateMirror.connect(str(path))


async def test_a_large_state_is_mirrored(path: Path) -> None:
    async with serving(path) as handler:
        handler.padding = "x" * 5_000_000
        (await mirror_of(path)).close()


async def test_a_folder_that_is_not_ours_is_not_mirrored(path: Path) -> None:
    async with serving(path):
        path.parent.chmod(0o777)
        with pytest.raises(TrackerError, match="others may write"):
            await StateMirror.connect(str(path))


FIRST = state(live("first@example.com", window("5h", 42)))
SECOND = state(live("second@example.com"))


def test_a_change_sends_only_the_accounts_that_changed() -> None:
    both = state(live("first@example.com"), live("second@example.com"))
    changed = replace(both, accounts={**both.accounts, **FIRST.accounts})
    line = encode_change(both, changed)
    assert "second@" not in line
    assert apply_line(line.encode(), both).accounts == changed.accounts


def test_another_list_of_accounts_is_sent_whole() -> None:
    assert apply_line(encode_change(FIRST, SECOND).encode(), FIRST).accounts == SECOND.accounts


def test_the_log_of_alerts_is_sent_when_it_changes() -> None:
    entry = LoggedAlert(Alert(AlertKind.LOGIN, "first@example.com", "", NOW), NOW)
    logged = replace(FIRST, log=(entry,))
    assert apply_line(encode_state(logged).encode(), State()).log == (entry,)
    assert apply_line(encode_change(FIRST, logged).encode(), FIRST).log == (entry,)
    muted = replace(logged, muted_until=NOW)
    line = encode_change(logged, muted)
    assert "login" not in line
    assert apply_line(line.encode(), logged).log == (entry,)


def test_what_may_be_private_is_not_sent() -> None:
    account = Account("a", token_command=("pass", "show", "claude"))
    sent = encode_state(state(waiting("a", account=account)))
    assert "pass" not in sent


def test_a_viewer_imports_none_of_what_only_the_leader_needs() -> None:
    code = "import sys, monitor.ipc.mirror; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], cwd=ROOT, capture_output=True, check=True
    )
    modules = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not modules & {"aiohttp", "keyring", "prometheus_client", "tomlkit", "sqlite3"}


async def test_a_view_that_is_turned_to_is_a_change() -> None:
    outlook = StateView()
    waiting = asyncio.create_task(outlook.changed())
    await settle()
    async with outlook.follow(Store(FIRST)):
        assert await waiting is FIRST
        assert outlook.state is FIRST


async def test_every_change_of_the_view_is_one_of_the_outlook() -> None:
    outlook, store = StateView(), Store(FIRST)
    async with outlook.follow(store):
        await settle()
        for minute in (1, 2):
            waiting = asyncio.create_task(outlook.changed())
            await settle()
            store.dispatch(Muted(NOW, after(minutes=minute)))
            assert (await waiting).muted_until == after(minutes=minute)


async def test_a_change_right_after_the_turn_is_not_missed() -> None:
    outlook, store = StateView(), Store(FIRST)
    seen = []

    async def watch() -> None:
        while True:
            seen.append((await outlook.changed()).muted_until)

    task = asyncio.create_task(watch())
    await settle()
    async with outlook.follow(store):
        store.dispatch(Muted(NOW, after(minutes=1)))
        await settle()
    task.cancel()
    assert seen[-1] == after(minutes=1)


async def test_between_two_views_the_last_state_stays_in_sight() -> None:
    outlook, store = StateView(), Store(FIRST)
    async with outlook.follow(store):
        store.dispatch(Muted(NOW, after(hours=1)))
    assert outlook.state.muted_until == after(hours=1)
    waiting = asyncio.create_task(outlook.changed())
    await settle()
    store.dispatch(Muted(NOW, None))  # nobody looks at it any more
    await settle()
    assert not waiting.done()
    async with outlook.follow(Store(SECOND)):
        assert await waiting is SECOND


async def test_nothing_has_been_seen_before_the_first_view() -> None:
    outlook = StateView()
    waiting = asyncio.create_task(outlook.ready())
    await settle()
    assert not waiting.done()
    assert not outlook.state.accounts
    async with outlook.follow(Store(FIRST)):
        await waiting
