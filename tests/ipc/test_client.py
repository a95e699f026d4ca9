"""The blocking client against listeners that answer, that do not, and that are not ours."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import SilentLeaderError, TrackerError
from monitor.ipc.client import ask, stream
from monitor.ipc.protocol import parse_request, render_request
from monitor.ipc.server import ServerLimits
from tests.ipc.fakes import leader
from tests.ipc.handlers import serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "claude-tracker"
    folder.mkdir(mode=0o700)
    return folder / "socket"


@contextmanager
def listener(path: Path, *, backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(backlog)
        yield listening


def answering(listening: socket.socket, reply: bytes) -> threading.Thread:
    """Takes one request, gives the reply and ends."""

    def work() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(reply)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_nobody_is_none(path: Path) -> None:
    assert ask(str(path), {"type": "status"}) is None
    assert stream(str(path), {"type": "watch"}) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert ask(str(path), {"type": "status"}) is None
    assert stream(str(path), {"type": "watch"}) is None


def test_somebody_who_does_not_answer_in_time_is_an_error(path: Path) -> None:
    with listener(path):
        begun = time.monotonic()
        with pytest.raises(SilentLeaderError, match=r"does not answer within 0\.1 s"):
            ask(str(path), {"type": "status"}, 0.1012345)
        with pytest.raises(SilentLeaderError, match=r"does not answer within 0\.1 s"):
            stream(str(path), {"type": "watch"}, first_secs=0.1)
        assert time.monotonic() - begun < 1


def test_a_full_queue_is_waited_for_until_time_is_up(path: Path) -> None:
    with listener(path, backlog=0) as listening, socket.socket(socket.AF_UNIX) as first:
        first.connect(str(path))
        with pytest.raises(TrackerError, match="does not answer"):
            ask(str(path), {"type": "status"}, 0.1)
        connection, _ = listening.accept()
        connection.close()
        thread = answering(listening, b"0\nhere\n")
        assert ask(str(path), {"type": "status"}, 2) == (0, b"here\n")
        thread.join()


def test_a_stopped_leader_is_told_from_none(path: Path) -> None:
    with leader(path.parent) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TrackerError, match="does not answer"):
            ask(str(path), {"type": "echo"}, 0.1)
        process.send_signal(signal.SIGCONT)
        assert ask(str(path), {"type": "guard"}) == (4, b"")


@pytest.mark.parametrize(
    "reply, words", [(b"", "ended before it answered"), (b"HTTP/1.1 200 OK\n", "no running mon")]
)
def test_an_answer_that_is_none_is_an_error(path: Path, reply: bytes, words: str) -> None:
    with listener(path) as listening:
        for asking in (ask, stream):
            thread = answering(listening, reply)
            with pytest.raises(TrackerError, match=words):
                list(asking(str(path), {"type": "status"}) or ())
            thread.join()


def test_a_listener_that_ends_unread_has_had_its_say(path: Path) -> None:
    with listener(path) as listening:

        def refuse() -> None:
            connection, _ = listening.accept()
            connection.sendall(b"1\ntoo many")
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        assert ask(str(path), {"type": "status"}) == (1, b"too many")
        thread.join()


def test_a_request_that_is_too_long_is_not_sent(path: Path) -> None:
    with listener(path), pytest.raises(TrackerError, match="longer than 64 KiB"):
        ask(str(path), {"type": "ingest", "document": {"x": "x" * 70_000}})


def test_a_socket_in_a_folder_that_others_may_write_is_not_believed(path: Path) -> None:
    with listener(path):
        path.parent.chmod(0o777)
        with pytest.raises(TrackerError, match="others may write there"):
            ask(str(path), {"type": "add", "session_key": "sk-ant-sid01-secret"})


def test_a_socket_of_another_user_is_not_believed(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a socket away, which only root can")
    with listener(path):
        os.chown(path, 65534, -1)
        with pytest.raises(TrackerError, match=r"belongs to another user \(uid 65534\)"):
            ask(str(path), {"type": "status"})


async def test_a_stream_is_its_lines_without_beats_until_the_leader_ends(path: Path) -> None:
    async with serving(path, limits=ServerLimits(beat_secs=0.02)) as handler:
        lines = await asyncio.to_thread(stream, str(path), {"type": "watch"})
        assert lines is not None
        assert json.loads(await asyncio.to_thread(next, lines))["number"] == 0
        await asyncio.sleep(0.1)
        handler.padding = "x" * 200_000
        handler.show(1)
        assert json.loads(await asyncio.to_thread(next, lines))["number"] == 1
    assert await asyncio.to_thread(list, lines) == []


async def test_a_stream_that_is_refused_raises_with_its_exit_code(path: Path) -> None:
    async with serving(path):
        lines = await asyncio.to_thread(stream, str(path), {"type": "refused stream"})
        with pytest.raises(TrackerError, match="no such field") as caught:
            await asyncio.to_thread(list, lines)  # type: ignore[arg-type]
        assert caught.value.exit_code == 2


def test_a_stopped_leader_ends_a_stream(path: Path) -> None:
    with leader(path.parent) as process:
        lines = stream(str(path), {"type": "watch"}, 0.5)
        assert lines is not None
        next(lines)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(SilentLeaderError, match="is it stopped"):
            list(lines)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key not in ("v", "type")), values, max_size=4))
def test_a_request_arrives_as_it_was_meant(arguments: dict[str, Any]) -> None:
    request = {"type": "x", **arguments}
    sent = render_request(request)
    assert sent.count(b"\n") == 1
    assert parse_request(sent) == {"v": 3, **request}
