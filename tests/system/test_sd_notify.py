"""Notices on real datagram sockets, and sockets from systemd's own tool or from a parent that does as it does."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from aiohttp import ClientSession

from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.system.sd_notify import (
    Notices,
    PassedSockets,
    feed_watchdog,
    open_notices,
    take_sockets,
    watchdog_secs,
)
from tests.builders import NOW, live, state
from tests.fakes import FakeClock
from tests.real.bus import wait_until
from tests.real.need import need

CHILD = """
import json, os, socket
from monitor.system.sd_notify import take_sockets
kinds = take_sockets(os.environ, os.getpid())
kept = [*kinds.metrics, *([kinds.control] if kinds.control else [])]
print(json.dumps({
    "metrics": [one.getsockname()[1] for one in kinds.metrics],
    "control": kinds.control and kinds.control.getsockname(),
    "inheritable": [one.get_inheritable() for one in kept],
    "left": sorted(key for key in os.environ if key.startswith("LISTEN_")),
    "again": len(take_sockets(os.environ, os.getpid()).metrics),
}), flush=True)
"""


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = f"@claude-tracker-test-{os.getpid()}"
    address = str(tmp_path / "notify") if request.param == "path" else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0"))
        receiver.settimeout(5)
        yield receiver, address


def test_each_notice_arrives_as_systemd_reads_it(listener: tuple[socket.socket, str]) -> None:
    receiver, address = listener
    told = open_notices({"NOTIFY_SOCKET": address})
    told.ready()
    told.status("polls 3 accounts\nREADY=0")
    told.watchdog()
    told.stopping()
    got = [receiver.recv(4096) for _ in range(4)]
    assert got == [b"READY=1", b"STATUS=polls 3 accounts READY=0", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_reload_says_when_it_began(listener: tuple[socket.socket, str]) -> None:
    receiver, address = listener
    before = time.monotonic_ns() // 1000
    open_notices({"NOTIFY_SOCKET": address}).reloading()
    first, second = receiver.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    key, _, usec = second.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.monotonic_ns() // 1000


def test_children_do_not_inherit_the_address(listener: tuple[socket.socket, str]) -> None:
    environ = {"NOTIFY_SOCKET": listener[1], "HOME": "/root"}
    open_notices(environ)
    assert environ == {"HOME": "/root"}


@pytest.mark.parametrize(
    "address",
    ["", "/nonexistent/socket", "relative", "vsock:2:1234", "/" + "x" * 300, "@", "/a\0b"],
)
def test_an_address_where_nobody_listens_is_no_failure(address: str) -> None:
    told = open_notices({"NOTIFY_SOCKET": address} if address else {})
    told.ready()
    told.reloading()
    told.status("x")
    told.stopping()
    told.watchdog()


def test_a_manager_that_does_not_read_stops_nobody(listener: tuple[socket.socket, str]) -> None:
    receiver, address = listener
    told = open_notices({"NOTIFY_SOCKET": address})
    began = time.monotonic()
    for _ in range(5000):
        told.watchdog()
    assert time.monotonic() - began < 5
    assert receiver.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "secs"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"}, 30),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_how_often_the_watchdog_is_to_be_told(environ: dict[str, str], secs: float | None) -> None:
    assert watchdog_secs(environ, 42) == secs


async def test_the_loop_tells_the_watchdog_for_as_long_as_it_runs(
    listener: tuple[socket.socket, str],
) -> None:
    receiver, address = listener
    receiver.setblocking(False)
    clock = FakeClock()
    task = asyncio.create_task(feed_watchdog(open_notices({"NOTIFY_SOCKET": address}), 30, clock))
    await clock.advance(90)
    task.cancel()
    assert told_so_far(receiver) == [b"WATCHDOG=1"] * 4


def told_so_far(receiver: socket.socket) -> list[bytes]:
    got: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(receiver.recv(4096))
    return got


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "43", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "42"},
        {"LISTEN_PID": "42", "LISTEN_FDS": "0"},
        {"LISTEN_PID": "42", "LISTEN_FDS": "-3"},
        {"LISTEN_PID": "42", "LISTEN_FDS": "many"},
    ],
)
def test_without_passed_sockets_there_are_none(environ: dict[str, str]) -> None:
    assert take_sockets(environ, 42) == PassedSockets()
    assert environ == {}


def test_passed_sockets_are_told_apart_and_no_child_inherits_them(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as quiet,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        (tmp_path / "no socket").open("w") as file,
    ):
        unix.bind(path)
        unix.listen()
        told = handed_over(tcp, quiet, datagrams, file, unix, tcp6)
        ports = [tcp.getsockname()[1], tcp6.getsockname()[1]]
    assert told == {
        "metrics": ports,
        "control": path,
        "inheritable": [False] * 3,
        "left": [],
        "again": 0,
    }


def handed_over(*files: socket.socket | IO[str]) -> object:
    """What a child finds that is given the files as systemd gives them: numbers 3 and up, named in its environment."""
    numbers = [os.dup(file.fileno()) for file in files]
    above = [os.dup2(number, 100 + place) for place, number in enumerate(numbers)]
    try:
        script = (
            "import os, sys\n"
            f"for place, number in enumerate({above}): os.dup2(number, 3 + place)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='a:b',"
            f" LISTEN_FDS='{len(above)}')\n"
            f"os.execv(sys.executable, [sys.executable, '-c', {CHILD!r}])\n"
        )
        argv = [sys.executable, "-c", script]
        out = subprocess.run(argv, pass_fds=above, stdout=subprocess.PIPE, timeout=30, check=True)
    finally:
        for number in [*numbers, *above]:
            os.close(number)
    return json.loads(out.stdout)


def test_systemd_s_own_tool_hands_its_sockets_over(tmp_path: Path) -> None:
    need("systemd-socket-activate")
    path = str(tmp_path / "s")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", path]
    argv += ["--setenv=PYTHONPATH=" + os.environ.get("PYTHONPATH", str(Path.cwd()))]
    argv += [sys.executable, "-c", CHILD]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tool:
        wait_until(lambda: knocked(path), "the socket")
        out, _ = tool.communicate(timeout=30)
    told = json.loads(out)
    assert (told["metrics"], told["control"]) == ([port], path)
    assert told["inheritable"] == [False, False]


def knocked(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


async def test_the_site_serves_on_a_passed_socket() -> None:
    shown = state(live("a@example.com"))
    passed = socket.create_server(("127.0.0.1", 0))
    port = passed.getsockname()[1]
    site = Site(lambda: shown, lambda: NOW, SiteConfig("10.9.8.7", 1), passed)
    async with site, ClientSession() as client:
        assert site.url == f"http://127.0.0.1:{port}/"
        async with client.get(f"{site.url}metrics") as response:
            assert response.status == 200
        strange = {"Host": "evil.example"}
        async with client.get(f"{site.url}metrics", headers=strange) as response:
            assert response.status == 421
    assert passed.fileno() == -1


def test_without_an_address_nothing_is_told() -> None:
    Notices(None).ready()
