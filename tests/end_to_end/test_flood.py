"""Thousands of connections to the port of a real service that send one letter each: polls and scrapes go on."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.crowd import INTERVAL_SECS, Crowd, crowd
from tests.real.bus import wait_until

pytestmark = pytest.mark.whole

FLOOD = """
import resource, socket, sys, time
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(5000, hard), hard))
kept = []
while True:
    for one in kept:
        try:
            one.send(b"G")
        except OSError:
            pass
    for _ in range(min(20, int(sys.argv[2]) - len(kept))):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", int(sys.argv[1])))
        kept.append(one)
    if len(kept) % 100:
        continue
    print(len(kept), flush=True)
    time.sleep(0.01)
"""


@contextmanager
def flood(port: int, connections: int) -> Iterator[None]:
    """Somebody who opens so many connections, sends a letter on each, and again, and stays."""
    argv = [sys.executable, "-c", FLOOD, str(port), str(connections)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            while int(process.stdout.readline()) < connections:
                pass
            yield
        finally:
            process.kill()


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def asked(many: Crowd) -> int:
    return min(len(many.api.requests_of(account.email)) for account in many.api.accounts)


@pytest.mark.parametrize("descriptors", [4096, 64])
def test_polls_and_scrapes_go_on_in_a_flood_of_connections(
    tmp_path: Path, descriptors: int
) -> None:
    with crowd(tmp_path, accounts=2) as many:
        service = many.serve()
        many.wait_for_leader()
        wait_until(lambda: asked(many) == 1, "the first polls")
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        many.scraped_within()
        memory = resident_mb(service.pid)
        with flood(many.port, 4200):
            assert min(many.scraped_within() for _ in range(3)) < 0.5
            before = asked(many)
            wait_until(lambda: asked(many) > before, "another poll", INTERVAL_SECS + 20)
            assert min(many.scraped_within() for _ in range(3)) < 0.5
            assert many.run("status").returncode == 0
            assert resident_mb(service.pid) < memory + 40
        log = (many.home / "serve.log").read_text()
        assert len(log) < 20_000, log
        assert "Traceback" not in log
