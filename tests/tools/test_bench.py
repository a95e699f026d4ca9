"""The benchmark's last line can be read by a program; the bounds that users feel are looked at, with much air."""

import json
import subprocess
import sys

from tests.real.need import need
from tools.bench.home import BIN
from tools.bench.servers import PUSHGATEWAY


def test_the_last_line_holds_the_figures() -> None:
    argv = [sys.executable, "-m", "tools.bench", "--stand-in", "--runs", "3", "--accounts", "3"]
    done = subprocess.run(
        argv, cwd=BIN.parents[1], capture_output=True, text=True, timeout=120, check=True
    )
    *_, last = done.stdout.splitlines()
    document = json.loads(last)
    assert set(document) == {"ours", "peers", "floors"}
    assert document["floors"]["python -c pass"]["version_ms"] > 0
    ours = document["ours"]
    assert ours["version_ms"] > 0
    assert ours["ratios"]["version"] < 4
    assert ours["ratios"]["status"] < 6


def test_the_scrapes_of_all_servers_are_measured() -> None:
    need(PUSHGATEWAY)
    argv = [sys.executable, "-m", "tools.bench.scrape", "--accounts", "2", "--rounds", "1"]
    done = subprocess.run(
        [*argv, "--seconds", "0.2"], capture_output=True, text=True, timeout=120, check=True
    )
    document = json.loads(done.stdout.splitlines()[-1])
    figures = document["accounts"]["2"]
    servers = ("ours", "library", "static", "go")
    assert all(figures[f"{server}_rps"] > 0 for server in servers)
    assert all(figures[f"{server}_cpu_ms"] >= 0 for server in servers)
    assert figures["stall_ms"] > 0
