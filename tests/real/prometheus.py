"""A real Prometheus that scrapes one target, on a free port of loopback and with a folder of its own."""

import json
import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.real.bus import running, wait_until
from tests.real.need import need

_CONFIG = """
global:
  scrape_interval: {seconds}s
  scrape_timeout: {seconds}s
scrape_configs:
  - job_name: claude-tracker
    static_configs:
      - targets: ["{target}"]
{more}
"""


@dataclass(frozen=True)
class Series:
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Prometheus:
    base_url: str

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """The whole answer of the HTTP API, warnings included; an answer that is not `success` is an error."""
        url = f"{self.base_url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        assert answer["status"] == "success", answer
        return answer

    def query(self, expr: str) -> list[Series]:
        """An instant query's vector, now."""
        result = self.ask("query", query=expr)["data"]["result"]
        return [Series(one["metric"], float(one["value"][1])) for one in result]

    def wait_for(self, expr: str, seconds: float = 30) -> list[Series]:
        """The first answer to `expr` that is not empty."""
        wait_until(lambda: self.query(expr), f"Prometheus has {expr}", seconds)
        return self.query(expr)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/-/ready", timeout=5) as response:
                return int(response.status) == 200
        except (URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def prometheus(
    folder: Path, target: str, scrape_seconds: int = 1, more: str = ""
) -> Iterator[Prometheus]:
    """It is ready, but has its first sample only some 6 s later: share one, and use `wait_for`.

    `more` are further keys of the scrape, in YAML that is indented by 4.
    """
    need("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG.format(seconds=scrape_seconds, target=target, more=more))
    port = free_port()
    argv = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(argv, env={"PATH": os.environ["PATH"], "HOME": str(folder)}):
        server = Prometheus(f"http://127.0.0.1:{port}")
        wait_until(server.is_ready, "Prometheus is ready", 30)
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
