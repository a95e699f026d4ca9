"""The mirror against a real server, and against a leader that is killed or stopped."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import SettingsError, SilentLeaderError, TrackerError
from monitor.core.model import Account
from monitor.core.state import LoggedAlert, State
from monitor.ipc.mirror import (
    Deltas,
    apply_line,
    encode_delta,
    mirror_state,
)
from monitor.ipc.server import ServerLimits, Stream
from monitor.system.aio import Observable
from tests.builders import NOW, live, state, waiting, window
from tests.ipc.fakes import ROOT, leader
from tests.ipc.handlers import FakeHandler, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker" / "socket"


class Mirror:
    """Follows the leader in a task; `view` shows what comes."""

    def __init__(self, path: Path, silent_secs: float = 6.0) -> None:
        self.view = Observable(State())
        self.task = asyncio.create_task(self._follow(path, silent_secs))

    async def _follow(self, path: Path, silent_secs: float) -> None:
        async for shown in mirror_state(str(path), silent_secs):
            self.view.show(shown)

    async def ready(self) -> State:
        async with asyncio.timeout(5):
            return await self.view.wait_for_change()

    async def ended(self) -> None:
        async with asyncio.timeout(3):
            await self.task


async def first_of(path: Path) -> State:
    async with aclosing(mirror_state(str(path))) as states:
        return await anext(states)


async def test_nobody_to_mirror_is_no_state(path: Path) -> None:
    assert [shown async for shown in mirror_state(str(path))] == []


async def test_a_connection_that_comes_when_nobody_waits_any_more_is_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as full:
        listener.bind(str(path))
        listener.listen(0)
        full.connect(str(path))  # the queue is full: who dials now has to wait
        dialling = asyncio.create_task(first_of(path))
        await asyncio.sleep(0.05)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        listener.accept()[0].close()
        accepted, _ = await asyncio.to_thread(listener.accept)
        with accepted:
            accepted.settimeout(5)
            assert (await asyncio.to_thread(accepted.recv, 99)).endswith(b"\n")
            accepted.sendall(b"0\n{}\n")
            assert await asyncio.to_thread(accepted.recv, 1) == b""


async def test_a_mirror_has_a_state_at_once_and_follows(path: Path) -> None:
    async with serving(path) as handler:
        handler.show(7)
        mirror = Mirror(path)
        assert (await mirror.ready()).active == 7
        for number in (8, 9):
            waiting = asyncio.create_task(mirror.view.wait_for_change())
            await asyncio.sleep(0)
            handler.show(number)
            async with asyncio.timeout(2):
                assert (await waiting).active == number
    await mirror.ended()
    assert mirror.view.state.active == 9


async def test_a_quiet_leader_is_not_silent(path: Path) -> None:
    async with serving(path, limits=ServerLimits(beat_secs=0.05)):
        mirror = Mirror(path, silent_secs=0.3)
        await mirror.ready()
        await asyncio.sleep(0.5)
        assert not mirror.task.done()
    await mirror.ended()


async def test_a_killed_leader_is_gone_at_once(path: Path) -> None:
    with leader(path.parent) as process:
        mirror = Mirror(path)
        await mirror.ready()
        begun = time.monotonic()
        process.send_signal(signal.SIGKILL)
        await mirror.ended()
        assert time.monotonic() - begun < 0.5


async def test_a_stopped_leader_is_silent_and_can_be_mirrored_again_later(path: Path) -> None:
    with leader(path.parent) as process:
        mirror = Mirror(path, silent_secs=0.3)
        await mirror.ready()
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(SilentLeaderError):
            await mirror.ended()
        with pytest.raises(SilentLeaderError):
            await Mirror(path, silent_secs=0.3).ended()
        process.send_signal(signal.SIGCONT)
        await first_of(path)


STOPS_ITSELF = """
import os, signal, subprocess, sys
from monitor.core.commands import WatchState, encode_request
from monitor.ipc.client import stream

lines = stream(sys.argv[1], encode_request(WatchState()), 0.6)
next(lines)
subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -CONT {os.getpid()}"])
os.kill(os.getpid(), signal.SIGSTOP)
next(lines), next(lines)
print("follows")
"""


async def test_a_follower_that_was_stopped_itself_does_not_blame_the_leader(path: Path) -> None:
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
            return Stream(lambda: f"{self.padding}\n".encode(), asyncio.Event().wait)
        raise SettingsError("not to be seen")


async def test_a_leader_that_refuses_says_why(path: Path) -> None:
    async with serving(path, RefusingHandler()):
        with pytest.raises(TrackerError, match=r"^not to be seen$"):
            await first_of(path)


@pytest.mark.parametrize("document", ["{", "[]", '{"other": 1}', "7"])
async def test_a_state_that_cannot_be_read_is_one_line(path: Path, document: str) -> None:
    handler = RefusingHandler()
    handler.padding = document
    async with serving(path, handler):
        with pytest.raises(TrackerError, match="is of another version"):
            await first_of(path)


async def test_a_large_state_is_mirrored(path: Path) -> None:
    async with serving(path) as handler:
        handler.padding = "x" * 5_000_000
        assert (await first_of(path)).storage_failure == handler.padding


async def test_a_folder_that_is_not_ours_is_not_mirrored(path: Path) -> None:
    async with serving(path):
        path.parent.chmod(0o777)
        with pytest.raises(TrackerError, match="others may write"):
            await first_of(path)


FIRST = state(live("first@example.com", window("5h", 42)))
SECOND = state(live("second@example.com"))


def test_a_change_sends_only_the_accounts_that_changed() -> None:
    both = state(live("first@example.com"), live("second@example.com"))
    changed = replace(both, accounts={**both.accounts, **FIRST.accounts})
    line = encode_delta(both, changed)
    assert "second@" not in line
    assert apply_line(line.encode(), both).accounts == changed.accounts


def test_another_list_of_accounts_is_sent_whole() -> None:
    assert apply_line(encode_delta(FIRST, SECOND).encode(), FIRST).accounts == SECOND.accounts


def test_each_who_follows_is_led_from_what_it_has_seen_and_the_lines_are_made_once() -> None:
    changes, both = Deltas(), state(live("first@example.com"), live("second@example.com"))
    once = replace(both, accounts={**both.accounts, **FIRST.accounts})
    twice = replace(once, accounts={**once.accounts, **SECOND.accounts}, active=1)
    assert apply_line(changes.lines(None, both), State()).accounts == both.accounts
    assert apply_line(changes.lines(both, once), both).accounts == once.accounts
    late, early = changes.lines(both, twice), changes.lines(once, twice)
    assert apply_line(late, both) == apply_line(early, once)
    assert (b"first@" in late, b"first@" in early) == (True, False)
    assert changes.lines(both, twice) is late
    assert changes.lines(twice, twice) == b""


def test_the_log_of_alerts_is_sent_when_it_changes() -> None:
    entry = LoggedAlert(Alert(AlertKind.LOGIN, "first@example.com", "", NOW), NOW)
    logged = replace(FIRST, log=(entry,))
    assert apply_line(encode_delta(None, logged).encode(), State()).log == (entry,)
    assert apply_line(encode_delta(FIRST, logged).encode(), FIRST).log == (entry,)
    muted = replace(logged, muted_until=NOW)
    line = encode_delta(logged, muted)
    assert "login" not in line
    assert apply_line(line.encode(), logged).log == (entry,)


def test_what_may_be_private_is_not_sent() -> None:
    account = Account("a", token_command=("pass", "show", "claude"))
    sent = encode_delta(None, state(waiting("a", account=account)))
    assert "pass" not in sent


def test_a_follower_imports_none_of_what_only_the_leader_needs() -> None:
    code = "import sys, monitor.ipc.mirror; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], cwd=ROOT, capture_output=True, check=True
    )
    modules = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not modules & {"aiohttp", "keyring", "prometheus_client", "tomlkit", "sqlite3"}
