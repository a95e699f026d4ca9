"""The mirror and the remote controls against a real server, and against an owner that is killed or stopped."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from monitor.core.errors import SettingsError, TrackerError
from monitor.core.model import Secret
from monitor.ipc.broadcast import Stream
from monitor.ipc.follower import LeaderGone, RemoteCommands, StateMirror
from monitor.ipc.server import Limits
from tests.ipc.fakes import ROOT, owner
from tests.ipc.handlers import FakeDesk, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker" / "socket"


def number_of(document: Any) -> int:
    number: int = document["number"]
    return number


async def mirror_of(path: Path, silent_secs: float = 6.0) -> StateMirror[int]:
    mirror = await StateMirror.of(str(path), number_of, silent_secs)
    assert mirror is not None
    return mirror


async def test_nobody_to_mirror_is_none(path: Path) -> None:
    assert await StateMirror.of(str(path), number_of) is None


async def test_a_connection_that_comes_when_nobody_waits_any_more_is_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))  # the queue is full: who dials now has to wait
        dialling = asyncio.create_task(StateMirror.of(str(path), number_of))
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
    async with serving(path) as desk:
        desk.show(7)
        mirror = await mirror_of(path)
        assert mirror.state == 7
        following = asyncio.create_task(mirror.follow())
        for number in (8, 9):
            waiting = asyncio.create_task(mirror.changed())
            await asyncio.sleep(0)
            desk.show(number)
            async with asyncio.timeout(2):
                assert await waiting == number
        assert mirror.state == 9
    with pytest.raises(LeaderGone) as gone:
        await asyncio.wait_for(following, 1)
    assert not gone.value.silent
    assert mirror.state == 9


async def test_a_quiet_owner_is_not_silent(path: Path) -> None:
    async with serving(path, limits=Limits(beat_secs=0.05)):
        mirror = await mirror_of(path, silent_secs=0.3)
        following = asyncio.create_task(mirror.follow())
        await asyncio.sleep(0.5)
        assert not following.done()
        mirror.close()
        with pytest.raises(LeaderGone):
            await asyncio.wait_for(following, 1)


async def test_a_killed_owner_is_gone_at_once(path: Path) -> None:
    with owner(path.parent) as process:
        mirror = await mirror_of(path)
        following = asyncio.create_task(mirror.follow())
        async with asyncio.timeout(2):
            await mirror.changed()
        begun = time.monotonic()
        process.send_signal(signal.SIGKILL)
        with pytest.raises(LeaderGone) as gone:
            await following
        assert (gone.value.silent, time.monotonic() - begun < 0.5) == (False, True)


async def test_a_stopped_owner_is_silent_and_can_be_mirrored_again_later(path: Path) -> None:
    with owner(path.parent) as process:
        mirror = await mirror_of(path, silent_secs=0.3)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(LeaderGone) as gone:
            await asyncio.wait_for(mirror.follow(), 2)
        assert gone.value.silent
        with pytest.raises(LeaderGone) as gone:
            await StateMirror.of(str(path), number_of, 0.3)
        assert gone.value.silent
        process.send_signal(signal.SIGCONT)
        (await mirror_of(path)).close()


STOPS_ITSELF = """
import asyncio, sys, threading, time
from monitor.ipc.follower import StateMirror

async def main():
    mirror = await StateMirror.of(sys.argv[1], lambda document: document["number"], 0.6)
    following = asyncio.create_task(mirror.follow())
    await mirror.changed()
    time.sleep(1.5)  # as if it had been stopped, or were busy
    await mirror.changed()
    await mirror.changed()
    print("follows" if not following.done() else "given up")

asyncio.run(main())
"""


async def test_a_viewer_that_was_stopped_itself_does_not_blame_the_owner(path: Path) -> None:
    with owner(path.parent):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", STOPS_ITSELF, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == ("follows\n", "")


class RefusingDesk(FakeDesk):
    def stream(self, _request: Mapping[str, Any]) -> Stream | None:
        if self.padding:
            return Stream("other", lambda: self.padding, asyncio.Event().wait)
        raise SettingsError("not to be seen")


async def test_an_owner_that_refuses_says_why(path: Path) -> None:
    async with serving(path, RefusingDesk()):
        with pytest.raises(TrackerError, match=r"^not to be seen$"):
            await StateMirror.of(str(path), number_of)


@pytest.mark.parametrize("document", ["{", "[]", '{"other": 1}', "7"])
async def test_a_state_that_cannot_be_read_is_one_line(path: Path, document: str) -> None:
    desk = RefusingDesk()
    desk.padding = document
    async with serving(path, desk):
        with pytest.raises(TrackerError, match="is of another version"):
            await StateMirror.of(str(path), number_of)


async def test_a_large_state_is_mirrored(path: Path) -> None:
    async with serving(path) as desk:
        desk.padding = "x" * 5_000_000
        (await mirror_of(path)).close()


async def test_a_folder_that_is_not_ours_is_not_mirrored(path: Path) -> None:
    async with serving(path):
        path.parent.chmod(0o777)
        with pytest.raises(TrackerError, match="others may write"):
            await StateMirror.of(str(path), number_of)


class ControlDesk(FakeDesk):
    async def answer(self, request: Mapping[str, Any]) -> tuple[int, str]:
        self.asked.append(request)
        if request.get("name") == "no-one":
            return 1, "no account no-one"
        return 0, f"{request['ask']} done\n"


async def test_each_control_is_handed_over_with_what_it_needs(path: Path) -> None:
    desk = ControlDesk()
    controls = RemoteCommands(str(path))
    async with serving(path, desk):
        said = [
            await controls.refresh(None),
            await controls.refresh("ann"),
            await controls.mute(),
            await controls.import_logins(),
            await controls.add("ann", Secret("key"), "org"),
            await controls.edit("ann", "bob", None, "org"),
            await controls.edit("bob", "bob", Secret("new"), "org", "work"),
            await controls.remove("bob"),
            await controls.use("ann"),
        ]
    assert said == [
        f"{verb} done"
        for verb in ["refresh", "refresh", "mute", "import", "add", "edit", "edit", "remove", "use"]
    ]
    assert desk.asked == [
        {"v": 1, **request}
        for request in (
            {"ask": "refresh", "account": None},
            {"ask": "refresh", "account": "ann"},
            {"ask": "mute"},
            {"ask": "import", "sources": "all", "brief": True},
            {"ask": "add", "name": "ann", "session_key": "key", "org_id": "org"},
            {"ask": "edit", "name": "ann", "new_name": "bob", "session_key": None, "org_id": "org",
             "label": None},
            {"ask": "edit", "name": "bob", "new_name": "bob", "session_key": "new", "org_id": "org",
             "label": "work"},
            {"ask": "remove", "name": "bob"},
            {"ask": "use", "name": "ann"},
        )
    ]  # fmt: skip


async def test_a_control_that_fails_raises_the_owners_line(path: Path) -> None:
    async with serving(path, ControlDesk()):
        with pytest.raises(TrackerError, match=r"^no account no-one$"):
            await RemoteCommands(str(path)).use("no-one")


async def test_a_control_without_an_owner_says_so(path: Path) -> None:
    with pytest.raises(TrackerError, match="no monitor polls at this moment"):
        await RemoteCommands(str(path)).mute()


async def test_a_control_that_takes_long_stops_nothing_else(path: Path) -> None:
    with owner(path.parent) as process:
        process.send_signal(signal.SIGSTOP)
        order = asyncio.create_task(RemoteCommands(str(path), limit_secs=0.3).mute())
        begun = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - begun < 0.25
        with pytest.raises(TrackerError, match="does not answer"):
            await order


def test_a_viewer_imports_none_of_what_only_the_owner_needs() -> None:
    code = "import sys, monitor.ipc.follower; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], cwd=ROOT, capture_output=True, check=True
    )
    modules = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not modules & {"aiohttp", "keyring", "prometheus_client", "tomlkit", "sqlite3"}
