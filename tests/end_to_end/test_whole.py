"""The whole program as its user has it: real keyring, desktop, Prometheus and terminals; only the API is ours."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from monitor.core.schedule import REFRESH_FLOOR
from tests.end_to_end.canaries import Processes, files_below, leaks
from tests.end_to_end.world import MONITOR, Machine, canary, machine
from tests.real.bus import wait_until
from tests.real.need import need
from tests.real.prometheus import Prometheus, prometheus
from tests.real.pty import terminal
from tests.real.tmux import Tmux, tmux

TUI = [*MONITOR, "tui", "--log-level", "debug"]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Machine]:
    need("tmux", "prometheus")
    with machine(tmp_path) as found:
        yield found


def test_from_three_logins_to_table_json_metrics_and_desktop(user: Machine, tmp_path: Path) -> None:
    import_everyone(user)
    mine = user.people[0]
    ends = datetime.now(UTC) + timedelta(seconds=75)
    mine.uses(70, ends)
    with tmux(TUI, env=user.env) as screen:
        screen.wait_for("70%")
        screen.wait_for("Logged In")
        figures = {
            "user@personal.com": 0.70,
            "user@work.com": 0.20,
            "user@client.com": 0.30,
            "web": 0.40,
        }
        wait_until(lambda: in_table(screen.screen()) == figures, "the figures in tmux")
        assert in_json(user) == figures
        assert in_a_second_terminal(user) == figures
        with prometheus(tmp_path, f"127.0.0.1:{user.port}") as server:
            wait_until(lambda: in_prometheus(server) == figures, "the figures in Prometheus", 30)
            cross_and_reset(user, screen, ends)
            wait_until(
                lambda: in_prometheus(server)["user@personal.com"] == 0.02,
                "the reset in Prometheus",
            )
            assert told_on_desktop(server) == 2
        page = urlopen(f"http://127.0.0.1:{user.port}/metrics").read()
        renew(user, screen)
        seen = screen.tmux("capture-pane", "-p", "-S", "-", "-t", "t")
        running = Processes(user.home)
        running.look()
        screen.keys("q")
        wait_until(lambda: screen.format("#{pane_dead}") == "1", "the end of the table")
    notices = user.desktop.history()
    assert_no_secret(user, page, *running.seen.values(), seen.encode(), repr(notices).encode())


def import_everyone(user: Machine) -> None:
    for person in user.people:
        if person.folder is not None:
            user.write_login(person, person.secret)
            printed = user.run("accounts", "import", "--config-dir", str(user.home / person.folder))
            assert printed == f"{person.name}: imported\n"
    web = user.people[-1]
    user.run("accounts", "add", "--name", "web", "--org-id", "org-4", stdin=f"{web.secret}\n")
    first = user.run("accounts", "list").splitlines()[1]
    assert first.split()[:3] == ["1", "*", "user@personal.com"]


def in_table(screen: str) -> dict[str, float]:
    """Account names and their 5h percentage, as a person reads them."""
    rows = re.findall(r"^ [ >]\d+ \| (\S+)[ *←⚠]*\| +(\d+)% \|", screen, re.MULTILINE)
    return {name: int(percent) / 100 for name, percent in rows}


def in_json(user: Machine) -> dict[str, float]:
    document = json.loads(user.run("status", "--json"))
    assert {a["status"] for a in document["accounts"]} == {"live"}
    return {a["name"]: five_hours(a["windows"]) for a in document["accounts"]}


def five_hours(windows: list[dict[str, Any]]) -> float:
    return next(float(w["utilization"]) for w in windows if w["window"] == "5h")


def in_a_second_terminal(user: Machine) -> dict[str, float]:
    """The same table, in a terminal of another make."""
    env = {**user.env, "TERM": "xterm-256color"}
    with terminal([*TUI, "--listen", "off", "--no-notify"], env=env) as second:
        second.wait_for("40%")
        wait_until(lambda: not second.read(0.05) and len(in_table(second.screen)) == 4, "all rows")
        figures = in_table(second.screen)
        second.keys("q")
        assert second.wait_for_exit() == 0
    return figures


def in_prometheus(server: Prometheus) -> dict[str, float]:
    series = server.query('claude_usage_utilization_ratio{window="5h"}')
    return {s.labels["account"]: s.value for s in series}


def told_on_desktop(server: Prometheus) -> float:
    wait_until(
        lambda: server.query('sum(claude_usage_notifications_total{channel="desktop"}) == 2'),
        "two notifications in Prometheus",
    )
    return server.query('sum(claude_usage_notifications_total{channel="desktop"})')[0].value


def cross_and_reset(user: Machine, screen: Tmux, ends: datetime) -> None:
    mine = user.people[0]
    mine.uses(87, ends)
    refresh(screen, until="87%")
    wait_until(lambda: len(user.desktop.history()) == 1, "the crossing on the desktop")
    wait_until(lambda: datetime.now(UTC) > ends, "the end of the window", 90)
    screen.wait_for("~0%")
    mine.uses(2, ends + timedelta(hours=5))
    refresh(screen, until=" 2%")
    wait_until(lambda: len(user.desktop.history()) == 2, "the reset on the desktop")
    crossing, reset = user.desktop.history()
    assert crossing.summary.startswith("user@personal.com: 5h at 87%")
    assert crossing.body.startswith("Passed 80%.")
    assert reset.summary == "user@personal.com: 5h is open again"


def refresh(screen: Tmux, until: str) -> None:
    """Press `R`: what it asks for comes at once, or when the account's last request is long enough ago."""
    screen.keys("R")
    screen.wait_for(until, REFRESH_FLOOR.total_seconds() + 15)


def renew(user: Machine, screen: Tmux) -> None:
    """Claude Code renews its token: the new one is in use without a key press, and the old one is not sent again."""
    mine = user.people[0]
    old, mine.secret = mine.secret, canary("oat01")
    mine.simulated.tokens = {mine.secret}
    user.write_login(mine, mine.secret)
    before = len(user.api.requests_of(mine.name))
    wait_until(lambda: len(user.api.requests_of(mine.name)) > before, "a poll by the new token", 45)
    user.retired.append(old)
    screen.wait_for("Logged In")
    assert "Expired" not in screen.screen()


def assert_no_secret(user: Machine, *shown: bytes) -> None:
    """No token, session key or refresh token, plain or encoded, in what was shown or in a file but their owner's."""
    texts = {f"what was shown ({place})": text for place, text in enumerate(shown)}
    texts["what was printed"] = "".join(user.printed).encode()
    texts |= files_below(user.home, planted=(".credentials.json",))
    assert any(name.endswith("monitor.log") for name in texts)
    assert any(name.endswith("state.db") for name in texts)
    assert leaks(texts, user.canaries) == []
