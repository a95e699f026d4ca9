"""A real Alertmanager on a free port of loopback, and a webhook receiver that keeps what it is notified of."""

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.real.bus import running, wait_until
from tests.real.need import need
from tests.real.prometheus import free_port

_CONFIG = """
route:
  receiver: webhook
  group_by: [account]
  group_wait: {group_wait}
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: webhook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


@dataclass(frozen=True)
class Alertmanager:
    """`notifications` are the webhook's bodies, in the order in which they came."""

    url: str
    notifications: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, path: str, body: object = None) -> Any:
        """The answer of the HTTP API, version 2, to a GET or, with a body, a POST."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v2/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds for firing, silenced ones included."""
        alerts: list[dict[str, Any]] = self.ask("alerts")
        return alerts

    def silence(self, **labels: str) -> None:
        """Silence alerts with these labels, as an operator does: by amtool."""
        matchers = [f"{name}={value}" for name, value in labels.items()]
        options = [f"--alertmanager.url={self.url}", "--author=tests", "--comment=tests"]
        subprocess.run(
            ["amtool", "silence", "add", *options, "--duration=1h", *matchers],
            check=True,
            capture_output=True,
            timeout=10,
        )

    def told(self, status: str) -> list[dict[str, str]]:
        """The labels of every alert that the webhook was told to be `firing` or `resolved`, once for each time."""
        return [
            alert["labels"]
            for notification in list(self.notifications)
            for alert in notification["alerts"]
            if alert["status"] == status
        ]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as response:
                return int(response.status) == 200
        except (URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def alertmanager(folder: Path, group_wait: timedelta = timedelta()) -> Iterator[Alertmanager]:
    """It groups by account, and notifies of a change in a group a second later."""
    need("prometheus-alertmanager", "amtool")
    server = Alertmanager(f"http://127.0.0.1:{free_port()}")
    with _receiver(server.notifications) as url:
        config = folder / "alertmanager.yml"
        wait = f"{group_wait // timedelta(milliseconds=1)}ms"
        config.write_text(_CONFIG.format(url=url, group_wait=wait))
        argv = [
            "prometheus-alertmanager",
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={server.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        with running(argv, env={"PATH": os.environ["PATH"], "HOME": str(folder)}):
            wait_until(server.is_ready, "Alertmanager is ready", 30)
            yield server


@contextmanager
def _receiver(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """A server for Alertmanager's webhook, in a thread; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
