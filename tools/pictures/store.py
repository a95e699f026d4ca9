"""A real Prometheus that holds the invented days of `backfill`, on a free port of loopback."""

import json
import os
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tools.pictures.backfill import write_openmetrics

START_SECONDS = 30


@contextmanager
def run_prometheus(folder: Path, accounts: int) -> Iterator[str]:
    """The address of a Prometheus with 14 days of this many accounts; nothing is scraped, no rule is evaluated."""
    samples = folder / "samples.txt"
    write_openmetrics(samples, accounts)
    # One block for all: for each block promtool reads the whole file again.
    _run(
        "promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet",
        "--max-block-duration=400h", str(samples), str(folder / "data"),
    )  # fmt: skip
    samples.unlink()
    config = folder / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    url = f"http://127.0.0.1:{_free_port()}"
    argv = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
    try:
        _wait_until_ready(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def query(url: str, expr: str, at: float) -> dict[str, Any]:
    """The whole answer to an instant query, warnings included."""
    parameters = urllib.parse.urlencode({"query": expr, "time": at})
    with urllib.request.urlopen(f"{url}/api/v1/query?{parameters}", timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def _run(*argv: str) -> None:
    done = subprocess.run(["nice", "-n", "10", *argv], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stderr or done.stdout}")


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"Prometheus is not ready: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
