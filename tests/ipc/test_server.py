"""The leader's socket, spoken to over real sockets by good clients and by rough ones."""

import asyncio
import json
import logging
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from monitor.core.errors import TrackerError
from monitor.ipc.client import ask
from monitor.ipc.server import Server, ServerLimits, SocketFile
from monitor.system import logs
from tests.ipc.fakes import leader
from tests.ipc.handlers import FakeHandler, everything, line, said, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker" / "socket"


async def asked(path: Path, **request: Any) -> tuple[int, bytes] | None:
    return await asyncio.to_thread(ask, str(path), request)


async def test_a_question_gets_its_answer_and_the_connection_ends(path: Path) -> None:
    async with serving(path) as handler:
        assert await asked(path, type="echo", text='Ünü \n"x\\') == (0, 'Ünü \n"x\\\n'.encode())
        assert handler.asked[0] == {"type": "echo", "text": 'Ünü \n"x\\'}


async def test_an_exit_code_may_be_the_whole_answer(path: Path) -> None:
    async with serving(path):
        assert await asked(path, type="guard") == (4, b"")


async def test_a_large_answer_arrives_whole(path: Path) -> None:
    async with serving(path):
        reply = await asked(path, type="large")
        assert reply is not None
        assert len(reply[1]) == 3_000_000


async def test_an_expected_failure_is_its_code_and_one_line(path: Path) -> None:
    async with serving(path):
        assert await asked(path, type="fail") == (1, b"the keyring is locked: unlock it")
        assert await asked(path, type="unheard of") == (2, b"unknown: unheard of")
        assert await asked(path, type="refused stream") == (2, b"no such field: {nmae}")


async def test_a_bug_is_logged_without_secrets_and_ends_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(path):
        reply = await asked(path, type="bug")
        assert reply is not None
        assert reply[0] == 3
        assert reply[1].startswith(b"a bug in the running monitor (pid ")
        assert b"sk-ant" not in reply[1]
        assert await asked(path, type="echo", text="on") == (0, b"on\n")
    assert "RuntimeError: sk-ant-…" in logs.redact(caplog.text)


async def test_half_a_client_that_has_ended_its_writing_is_answered(path: Path) -> None:
    async with serving(path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(line("echo", text="x"))
        writer.write_eof()
        assert await everything(reader) == b"0\nx\n"
        writer.close()


@pytest.mark.parametrize("version", [0, 1, "2", None])
async def test_another_protocol_is_told_who_runs(path: Path, version: object) -> None:
    async with serving(path) as handler:
        reply = await said(path, json.dumps({"v": version, "type": "echo"}).encode() + b"\n")
    assert reply.startswith(f"1\nthe running monitor (pid {os.getpid()}, version ".encode())
    assert reply.endswith(b") uses another protocol version: restart it")
    assert not handler.asked


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\n",
        b"[1]\n",
        b'{"v": 3}\n',
        b'{"v": 3, "type": 7}\n',
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b'{"v": 3, "type": "echo", "text": "' + b"x" * 65_600 + b'"}\n',
        b"x" * 200_000,
    ],
)
async def test_garbage_gets_no_word(path: Path, data: bytes) -> None:
    async with serving(path) as handler:
        assert await said(path, data) == b""
        assert await asked(path, type="echo", text="on") == (0, b"on\n")
    assert len(handler.asked) == 1


async def test_a_request_of_64_kib_is_taken(path: Path) -> None:
    async with serving(path):
        longest = line("echo", text="")
        text = "x" * (65_536 - len(longest))
        assert await said(path, line("echo", text=text)) == f"0\n{text}\n".encode()


async def test_a_request_that_does_not_come_is_not_waited_for(path: Path) -> None:
    async with serving(path, limits=ServerLimits(request_secs=0.05)):
        begun = time.monotonic()
        assert await said(path, b'{"v": 3, "ask"') == b""
        assert time.monotonic() - begun < 1


async def test_who_breaks_off_troubles_nobody(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(path, limits=ServerLimits(beat_secs=0.01)):
        for data in (b"", b'{"v"', line("large"), line("watch")):
            _, writer = await asyncio.open_unix_connection(str(path))
            writer.write(data)
            await asyncio.sleep(0.02)
            writer.transport.abort()
        await asyncio.sleep(0.05)
        assert await asked(path, type="echo", text="on") == (0, b"on\n")
    assert [r for r in caplog.records if r.levelno > logging.DEBUG] == []


async def test_who_never_reads_a_large_answer_is_dropped(path: Path) -> None:
    async with serving(path, limits=ServerLimits(drain_secs=0.1)):
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        writer.write(line("large"))
        await asyncio.sleep(0.3)
        assert len(await everything(reader)) < 3_000_000
        writer.transport.abort()


async def test_more_than_the_bound_are_told_so(path: Path) -> None:
    async with serving(path, limits=ServerLimits(connections=2)):
        idle = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
        reply = await asked(path, type="echo", text="x")
        assert reply is not None
        assert (reply[0], reply[1][-23:]) == (1, b" has too many followers")
        for _, writer in idle:
            writer.close()
        await asyncio.sleep(0.05)
        assert await asked(path, type="echo", text="x") == (0, b"x\n")


async def test_two_hundred_may_knock_before_anybody_is_let_in(path: Path) -> None:
    async with serving(path):
        knocking = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        for connection in knocking:  # nothing is let in meanwhile: the loop is held up
            connection.setblocking(False)
            connection.connect(str(path))  # raises where the queue is full
            connection.close()


# The socket file


async def test_the_socket_is_the_users_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert [entry.name for entry in path.parent.iterdir()] == ["socket"]
    finally:
        os.umask(before)


async def test_it_is_gone_after_the_end(path: Path) -> None:
    async with serving(path):
        assert path.is_socket()
    assert list(path.parent.iterdir()) == []
    assert await asked(path, type="echo") is None


async def test_what_a_killed_leader_left_is_replaced(path: Path) -> None:
    with leader(path.parent) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.is_socket()
    assert await asked(path, type="echo") is None
    (path.parent / "socket~").touch()  # as of one that was killed while it came
    async with serving(path):
        assert await asked(path, type="echo", text="new") == (0, b"new\n")


async def test_a_successors_socket_is_left_alone(path: Path) -> None:
    async with serving(path):
        async with serving(path):
            pass  # takes the name, and then away
        async with serving(path) as successor:
            server = Server(FakeHandler().answer, str(path))
            await server.stop()
            assert await asked(path, type="echo", text="x") == (0, b"x\n")
            assert len(successor.asked) == 1


async def test_an_ending_leader_does_not_take_away_its_successors_file(path: Path) -> None:
    first, second = SocketFile(str(path)), SocketFile(str(path))
    with first.open(), second.open():
        assert (first.touch(), second.touch()) == (False, True)
        first.remove()
        assert path.exists()
        second.remove()
        assert not path.exists()


async def test_a_socket_file_that_was_cleared_away_comes_back(path: Path) -> None:
    async with serving(path, limits=ServerLimits(keep_secs=0.02)):
        os.utime(path, (0, 0))
        await asyncio.sleep(0.1)
        assert path.stat().st_mtime > 1e9
        path.unlink()
        path.parent.rmdir()
        await asyncio.sleep(0.1)
        assert await asked(path, type="echo", text="x") == (0, b"x\n")
    assert not path.exists()


async def test_a_folder_that_others_may_write_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(TrackerError, match="others may write there"):
        await Server(FakeHandler().answer, str(path)).start()


async def test_a_bound_socket_that_is_handed_over_is_used_and_left(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        early = asyncio.create_task(asked(path, type="echo", text="early"))
        await asyncio.sleep(0.05)  # it waits in the queue of the socket
        async with serving(Path("/unused"), sock=given):
            assert await early == (0, b"early\n")
        async with serving(Path("/unused"), sock=given):
            assert await asked(path, type="echo", text="again") == (0, b"again\n")
    assert path.is_socket()


# The end


async def test_the_end_waits_for_no_idle_or_streaming_peer(path: Path) -> None:
    async with serving(path):
        watching = [await asyncio.open_unix_connection(str(path)) for _ in range(50)]
        for _, writer in watching[:-10]:
            writer.write(line("watch"))
        await asyncio.sleep(0.2)
        begun = time.monotonic()
    assert time.monotonic() - begun < 0.1
    for reader, writer in watching:
        await everything(reader)
        writer.transport.abort()


async def test_the_end_waits_a_moment_for_an_answer_under_way(path: Path) -> None:
    async with serving(path):
        short = asyncio.create_task(said(path, line("slow", secs=0.2)))
        long = asyncio.create_task(said(path, line("slow", secs=60)))
        await asyncio.sleep(0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    assert (await short, await long) == (b"0\nlate\n", b"")
