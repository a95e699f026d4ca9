"""Two machines with an agent each, one store with the rules, Alertmanager and a webhook: from sample to message."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.grafana.conftest import GRAFANA
from tests.real.bus import running, wait_until
from tests.real.need import need
from tests.real.prometheus import Prometheus, free_port
from tools.pictures.backfill import World, sample_text

MACHINES = ("atlas", "boreas")
SHARED = "shared"


@dataclass
class Page:
    """A monitor's metrics page; `utilization` and `resets_at` are those of the account that both machines poll."""

    others: str
    utilization: float = 0.5
    resets_at: float = field(default_factory=lambda: time.time() + 3600)
    polls: int = 0

    def render(self) -> bytes:
        self.polls += 1
        shared = (
            f'claude_usage_utilization_ratio{{account="{SHARED}",window="5h"}} {self.utilization}\n'
            f'claude_usage_reset_timestamp_seconds{{account="{SHARED}",window="5h"}} {self.resets_at}\n'
            f'claude_usage_up{{account="{SHARED}"}} 1\n'
            f'claude_usage_polls_total{{account="{SHARED}"}} {self.polls}\n'
        )
        return (self.others + shared).encode()


@dataclass
class Fleet:
    store: Prometheus
    alertmanager: str
    pages: dict[str, Page]
    messages: list[dict[str, Any]]

    def sent(self, status: str, alert: str, **labels: str) -> list[dict[str, Any]]:
        """The alerts of this name and status, with these labels, that the webhook was sent."""
        wanted = {"alertname": alert, **labels}.items()
        return [
            one
            for message in list(self.messages)
            for one in message["alerts"]
            if one["status"] == status and wanted <= one["labels"].items()
        ]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Everything runs as in production, but for its waiting times: those of the rules are seconds."""
    need("prometheus", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("fleet")
    pages = {name: Page(page_of_others(name)) for name in MACHINES}
    messages: list[dict[str, Any]] = []
    with ExitStack() as stack:
        webhook = stack.enter_context(serve(receive=messages))
        alertmanager = stack.enter_context(run_alertmanager(folder, webhook))
        store = stack.enter_context(run_store(folder, alertmanager))
        for name, page in pages.items():
            target = stack.enter_context(serve(page))
            stack.enter_context(run_agent(folder, name, target, store.base_url))
        yield Fleet(store, alertmanager, pages, messages)


def test_both_machines_samples_arrive_complete(fleet: Fleet) -> None:
    for name in MACHINES:
        pushed = f'count_over_time(up{{instance="{name}",job="claude-tracker"}}[1m]) >= 8'
        fleet.store.wait_for(pushed, 40)
        times = fleet.store.ask(
            "query", query=f'claude_usage_polls_total{{account="{SHARED}",instance="{name}"}}[1m]'
        )
        (series,) = times["data"]["result"]
        counts = [float(value) for _, value in series["values"]]
        assert counts == list(
            range(int(counts[0]), int(counts[0]) + len(counts))
        )  # none is missing


def test_an_account_that_two_machines_poll_fires_watched_twice(fleet: Fleet) -> None:
    wait_until(lambda: fleet.sent("firing", "WatchedTwice"), "WatchedTwice", 40)
    (labels,) = {
        tuple(sorted(one["labels"].items())) for one in fleet.sent("firing", "WatchedTwice")
    }
    assert dict(labels)["account"] == SHARED
    (alert, *_) = fleet.sent("firing", "WatchedTwice")
    assert alert["annotations"]["summary"] == "shared is polled by 2 machines"


def test_a_rising_account_is_reported_once_by_its_worst_alert_and_resolved_at_its_reset(
    fleet: Fleet,
) -> None:
    for percent in (70, 92, 100):
        for page in fleet.pages.values():
            page.utilization = percent / 100
        full = f'account_window:claude_usage_utilization_ratio:last{{account="{SHARED}"}} == {percent / 100}'
        fleet.store.wait_for(full, 40)
    wait_until(lambda: fleet.sent("firing", "AccountExhausted", account=SHARED), "a message", 40)
    (message, *_) = fleet.sent("firing", "AccountExhausted", account=SHARED)
    assert message["labels"]["window"] == "5h"
    assert re.match(
        r"shared is at 100% of its 5h limit\. It resets in \d+m",
        message["annotations"]["description"],
    )
    wait_until(lambda: is_inhibited(fleet, "NearLimit"), "NearLimit is inhibited", 40)
    for page in fleet.pages.values():
        page.utilization, page.resets_at = 0, time.time() + 5 * 3600
    wait_until(lambda: fleet.sent("resolved", "AccountExhausted", account=SHARED), "a message", 40)


def test_every_rule_is_evaluated_without_an_error(fleet: Fleet) -> None:
    wait_until(
        lambda: all(rule["lastEvaluation"] > "2000" for rule in rules(fleet)), "evaluation", 40
    )
    assert len(rules(fleet)) == 7 + 15
    for rule in rules(fleet):
        assert rule["health"] == "ok", rule.get("lastError")
    for rule in rules(fleet):
        if rule["type"] == "recording":
            fleet.store.wait_for(rule["name"], 40)


def rules(fleet: Fleet) -> list[dict[str, Any]]:
    groups = fleet.store.ask("rules")["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def is_inhibited(fleet: Fleet, alert: str) -> bool:
    with urlopen(f"{fleet.alertmanager}/api/v2/alerts", timeout=10) as response:
        held = [a for a in json.load(response) if a["labels"].get("account") == SHARED]
    return any(a["labels"]["alertname"] == alert and a["status"]["inhibitedBy"] for a in held)


def page_of_others(machine: str) -> str:
    """Every metric of a monitor with accounts that only this machine polls."""
    return sample_text(World(1), lambda account: f"{machine}-{account}")


@contextmanager
def run_alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """The example configuration, with this receiver and short waiting times."""
    text = (GRAFANA / "alertmanager/alertmanager.yml").read_text()
    text = text.replace("http://127.0.0.1:9099/", webhook)
    text = text.replace("group_wait: 30s", "group_wait: 1s").replace(
        "group_interval: 5m", "group_interval: 1s"
    )
    config = folder / "alertmanager.yml"
    config.write_text(text)
    url = f"http://127.0.0.1:{free_port()}"
    argv = [
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with running(argv, env=environment(folder)):
        wait_until(Prometheus(url).is_ready, "Alertmanager is ready", 30)
        yield url


@contextmanager
def run_store(folder: Path, alertmanager: str) -> Iterator[Prometheus]:
    """The example configuration and rules, without a scrape, as a receiver of remote writes."""
    shorten = re.compile(r"( for| keep_firing_for): \w+")
    for name in ("recording.yml", "alerts.yml"):
        text = (GRAFANA / "prometheus" / name).read_text()
        (folder / name).write_text(shorten.sub(r"\1: 1s", text))
    text = (GRAFANA / "prometheus/prometheus.yml").read_text().partition("scrape_configs:")[0]
    text = text.replace("127.0.0.1:9093", alertmanager.removeprefix("http://")).replace("15s", "1s")
    config = folder / "store.yml"
    config.write_text(text)
    url = f"http://127.0.0.1:{free_port()}"
    argv = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'store'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-remote-write-receiver",
    ]
    with running(argv, env=environment(folder)):
        store = Prometheus(url)
        wait_until(store.is_ready, "the store is ready", 30)
        yield store


@contextmanager
def run_agent(folder: Path, machine: str, target: str, store: str) -> Iterator[None]:
    """The example configuration with the machine's name, this target and this store."""
    text = (GRAFANA / "deploy/prometheus-agent.yml").read_text()
    text = text.replace("replacement: MACHINE", f"replacement: {machine}").replace("15s", "1s")
    text = text.replace("127.0.0.1:15707", target.removeprefix("http://").rstrip("/"))
    text = text.replace("https://prometheus.example.com", store)
    config = folder / f"{machine}.yml"
    config.write_text(text + "    queue_config: {batch_send_deadline: 200ms}\n")
    argv = [
        "prometheus",
        "--enable-feature=agent",
        f"--config.file={config}",
        f"--storage.agent.path={folder / machine}",
        f"--web.listen-address=127.0.0.1:{free_port()}",
    ]
    with running(argv, env=environment(folder)):
        yield


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder)}


@contextmanager
def serve(page: Page | None = None, receive: list[dict[str, Any]] | None = None) -> Iterator[str]:
    """A server that answers with the page, or keeps what is posted to it; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.render() if page else b""
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if receive is not None:
                receive.append(body)
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
