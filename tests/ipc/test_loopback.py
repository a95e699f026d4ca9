"""The way in for systems without Unix sockets, over real TCP: who does not know the token gets no word."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from monitor.ipc import loopback
from monitor.ipc.client import ask
from monitor.ipc.follower import StateMirror
from monitor.ipc.listener import LoopbackListener
from monitor.ipc.server import Limits
from tests.ipc.handlers import FakeDesk, everything, line, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker" / "socket"


@pytest_asyncio.fixture
async def desk(path: Path) -> AsyncIterator[FakeDesk]:
    limits = Limits(request_secs=0.5)
    async with serving(path, way_in=LoopbackListener(str(path)), limits=limits) as desk:
        yield desk


def note(path: Path) -> tuple[int, str]:
    read = loopback.read_note(str(path))
    assert read is not None
    return read


async def said(port: int, *lines: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for data in lines:
            writer.write(data)
        async with asyncio.timeout(2):
            return await everything(reader)
    finally:
        writer.transport.abort()


async def asked(path: Path, **request: Any) -> tuple[int, bytes] | None:
    return await asyncio.to_thread(ask, str(path), request)


async def test_who_knows_the_token_is_answered(path: Path, desk: FakeDesk) -> None:
    assert await asked(path, ask="echo", text="x") == (0, b"x\n")
    assert desk.asked == [{"v": 1, "ask": "echo", "text": "x"}]  # without the token


async def test_a_mirror_follows_there_too(path: Path, desk: FakeDesk) -> None:
    desk.show(5)
    mirror = await StateMirror.of(str(path), lambda document: document["number"])
    assert mirror is not None
    assert mirror.state == 5
    mirror.close()


async def test_the_token_is_the_users_alone_and_new_each_time(path: Path) -> None:
    tokens = set()
    for _ in range(2):
        async with serving(path, way_in=LoopbackListener(str(path))):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            tokens.add(note(path)[1])
        assert not path.exists()
    assert len(tokens) == 2
    assert {len(token) for token in tokens} == {64}


@pytest.mark.parametrize("token", ["", "0" * 64, None, 7, ["x"], "é"])
async def test_a_wrong_token_gets_no_word(path: Path, desk: FakeDesk, token: object) -> None:
    greeting = loopback.hello()
    port, right = note(path)
    answer = await said(port, greeting, line("echo", token=token))
    assert answer == loopback.proof(right, greeting)  # which any one may have, and tells nothing
    assert not desk.asked


@pytest.mark.parametrize(
    "first",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n",
        b"hello \n",
        b"hello " + b"0" * 31 + b"\n",
        b"\n",
    ],
)
async def test_a_web_page_gets_no_word(path: Path, desk: FakeDesk, first: bytes) -> None:
    port, token = note(path)
    assert await said(port, first, line("echo", token=token)) == b""
    assert not desk.asked


async def test_the_right_token_without_a_greeting_gets_no_word(path: Path, desk: FakeDesk) -> None:
    port, token = note(path)
    assert await said(port, line("echo", token=token)) == b""
    assert not desk.asked


async def test_who_was_given_the_port_of_a_dead_owner_sees_no_request(path: Path) -> None:
    seen = bytearray()

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readline())
        writer.write(b"0" * 64 + b"\n")
        seen.extend(await everything(reader))
        writer.close()

    server = await asyncio.start_server(impostor, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    path.parent.mkdir(mode=0o700)
    path.write_bytes(loopback.render_note(port, loopback.new_token()))
    assert await asked(path, ask="add", session_key="sk-ant-sid01-secret") is None
    await asyncio.sleep(0.05)
    assert seen.startswith(b"hello ")
    assert seen.count(b"\n") == 1
    server.close()


@pytest.mark.parametrize("text", ["", "x", "1 2 3", "port token"])
async def test_half_a_file_is_nobody(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text(text)
    assert await asked(path, ask="echo") is None


async def test_a_port_where_nobody_listens_is_nobody(path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    path.parent.mkdir(mode=0o700)
    path.write_bytes(loopback.render_note(port, "token"))
    assert await asked(path, ask="echo") is None


async def test_a_file_that_was_cleared_away_comes_back(path: Path) -> None:
    limits = Limits(keep_secs=0.02)
    async with serving(path, way_in=LoopbackListener(str(path)), limits=limits):
        path.unlink()
        await asyncio.sleep(0.1)
        assert await asked(path, ask="echo", text="x") == (0, b"x\n")


def test_a_proof_depends_on_the_greeting() -> None:
    first, second = loopback.hello(), loopback.hello()
    assert first != second
    assert loopback.proof("t", first) != loopback.proof("t", second)
