"""Odd answers in the whole program, over a real keyring and desktop: no account goes blind, no alert is false."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from monitor.core.commands import Refresh, encode_request
from monitor.demo.server import Fault
from monitor.ipc.client import ask
from monitor.paths import config_path, instance
from tests.end_to_end.world import MONITOR, Machine, Person, machine
from tests.real.bus import wait_until

RULE = '[notifications.rules.unreadable]\nfor = "4s"\n'
POLL_SECS = 60.0
PAGE = b"<!DOCTYPE html><title>Blocked by Corp</title>"


def test_what_odd_answers_become(tmp_path: Path) -> None:
    with machine(tmp_path) as user:
        mine, work, client = user.people[:3]
        ends = datetime.now(UTC) + timedelta(hours=2)
        mine.uses(70, ends)
        work.uses(70, ends)
        client.uses(97, ends, week=40)
        for person in (mine, work, client):
            user.write_login(person, person.secret)
            user.run("accounts", "import", "--config-dir", str(user.home / str(person.folder)))
        file = Path(config_path(user.env))
        file.write_text(file.read_text() + RULE)
        with serving(user):
            wait_until(
                lambda: ups(user) == {p.name: 1 for p in (mine, work, client)}, "the figures"
            )
            assert user.desktop.history() == [], "a first sample is no news"
            answers(mine, five_hour=limit(97, ends), seven_day=limit(None))
            answers(
                work,
                five_hour=limit(None),
                limits=[row(None, "weekly_all"), row(100, "session", ends)],
            )
            answers(client, five_hour=limit(None), seven_day=None, limits=[row(None, "session")])
            refresh(user)
            crossings = (f"{mine.name}: 5h at 97%", f"{work.name}: 5h limit reached")
            wait_until(lambda: all(c in shown(user) for c in crossings), "two crossings", POLL_SECS)
            wait_until(lambda: ups(user)[client.name] == 0, "a poll without figures", POLL_SECS)
            assert guard(user, work) == 4
            assert figures(user, client) == ("failing", {"5h": 0.97, "7d": 0.4}), "with their age"

            for person in (mine, work):
                person.simulated.fault = lambda _: Fault(403, PAGE)
            refresh(user)
            wait_until(lambda: sum(ups(user).values()) == 0, "the proxy's answers", POLL_SECS)
            wait_until(lambda: "Blocked by Corp" in shown(user), "the condition's time", POLL_SECS)
            (blocked,) = [n for n in user.desktop.history() if "Blocked by Corp" in n.body]
            assert blocked.summary == "Several accounts cannot be read"
            assert mine.name in blocked.body and work.name in blocked.body
            assert gauge(user, "login_required") == {p.name: 0 for p in (mine, work, client)}
            assert not [n for n in user.desktop.history() if "login" in n.summary.lower()]


def shown(user: Machine) -> str:
    """The text of all notifications; alerts that come together are one."""
    return "\n".join(f"{notice.summary}\n{notice.body}" for notice in user.desktop.history())


@contextmanager
def serving(user: Machine) -> Iterator[None]:
    with subprocess.Popen([*MONITOR, "serve"], env=user.env, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(20) == 0


def limit(percent: object, ends: datetime | None = None) -> dict[str, object]:
    return {"utilization": percent, "resets_at": ends and ends.isoformat()}


def row(percent: object, kind: str, ends: datetime | None = None) -> dict[str, object]:
    return {"kind": kind, "percent": percent, "resets_at": ends and ends.isoformat()}


def answers(person: Person, **body: object) -> None:
    headers = {"anthropic-organization-id": person.simulated.org_uuid}
    person.simulated.fault = lambda _: Fault(200, body, headers)


def refresh(user: Machine) -> None:
    """All accounts, as soon as their last requests are long enough ago."""
    socket = instance(user.env, config_path(user.env))[1]
    assert ask(socket, encode_request(Refresh())) is not None


def gauge(user: Machine, name: str) -> dict[str, int]:
    page = urlopen(f"http://127.0.0.1:{user.port}/metrics").read().decode()
    found = re.findall(rf'^claude_usage_{name}{{account="([^"]*)"}} (\S+)$', page, re.MULTILINE)
    return {account: int(float(value)) for account, value in found}


def ups(user: Machine) -> dict[str, int]:
    try:
        return gauge(user, "up")
    except OSError:  # not yet
        return {}


def guard(user: Machine, person: Person) -> int:
    done = subprocess.run(
        [*MONITOR, "guard", "--account", person.name], env=user.env, capture_output=True, timeout=60
    )
    return done.returncode


def figures(user: Machine, person: Person) -> tuple[str, dict[str, float]]:
    document: dict[str, Any] = json.loads(user.run("status", "--json"))
    (account,) = [a for a in document["accounts"] if a["name"] == person.name]
    return account["status"], {w["window"]: w["utilization"] for w in account["windows"]}
