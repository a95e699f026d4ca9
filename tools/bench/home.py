"""A user's home with many accounts, their API on loopback, and a monitor that polls it: what is measured in."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.core.model import Window
from monitor.demo.server import Limit, Limits, SimulatedAccount
from tests.app.leader_process import leader
from tests.builders import live, state, usage
from tests.end_to_end.world import simulated
from tests.real.pty import terminal_env

BIN: Final = Path(__file__).parents[2] / ".venv" / "bin"
MONITOR: Final = str(BIN / "monitor")
PYTHON: Final = str(BIN / "python")
READY_SECS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Home:
    """`pid` is that of the monitor that polls; None where a stand-in answers."""

    env: dict[str, str]
    names: list[str]
    pid: int | None = None


@contextmanager
def home(folder: Path, accounts: int) -> Iterator[Home]:
    """With a monitor that serves, and has polled every account."""
    people = [_person(number) for number in range(1, accounts + 1)]
    env = _env(folder)
    with simulated(people) as api:
        _write(folder, api.url, people)
        argv = [MONITOR, "serve", "--listen", "off", "--no-notify"]
        with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE) as serving:
            try:
                _wait_until_polled(env, serving, accounts)
                yield Home(env, [person.email for person in people], serving.pid)
            finally:
                serving.terminate()
                serving.communicate(timeout=10)


@contextmanager
def stand_in(folder: Path, accounts: int) -> Iterator[Home]:
    """With the socket's server alone, in this process."""
    now = datetime.now(UTC)
    names = [_name(number) for number in range(1, accounts + 1)]
    window = Window("5h", 0.42, now + timedelta(hours=2))
    shown = [live(name, usage=usage(window, at=now), last_success_at=now) for name in names]
    env = _env(folder)
    with leader(env, state(*shown)):
        yield Home(env, names)


def _env(folder: Path) -> dict[str, str]:
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "TERM": terminal_env()["TERM"],
        "XDG_RUNTIME_DIR": str(runtime),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }


def _name(number: int) -> str:
    return f"account-{number:02}@example.com"


def _person(number: int) -> SimulatedAccount:
    ends = datetime.now(UTC) + timedelta(minutes=50, seconds=number)  # within the hour seconds tick
    limits = Limits(Limit(3.0 * number, ends), Limit(2.0 * number, ends + timedelta(days=3)))
    person = SimulatedAccount(_name(number), f"acc-{number}", f"org-{number}")
    person.tokens.add(f"sk-ant-oat01-bench-{number}")
    person.limits = lambda _: limits
    return person


def _write(folder: Path, url: str, people: list[SimulatedAccount]) -> None:
    """A Claude Code login for each, and settings that read it where it is."""
    ends = int((time.time() + 8 * 3600) * 1000)
    text = f'[api]\nurl = "{url}"\nweb_url = "{url}"\n'
    for number, person in enumerate(people, 1):
        place = folder / f".claude-{number}"
        place.mkdir()
        login = {"accessToken": min(person.tokens), "expiresAt": ends, "scopes": ["user:profile"]}
        (place / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
        text += f'[[accounts]]\nname = "{person.email}"\norg_id = "{person.org_uuid}"\n'
        text += f'auth_method = "oauth"\nstorage = "linked"\nconfig_dir = "{place}"\n'
    file = folder / ".config" / "claude-tracker" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def _wait_until_polled(
    env: dict[str, str], serving: "subprocess.Popen[bytes]", accounts: int
) -> None:
    deadline = time.monotonic() + READY_SECS
    argv = [MONITOR, "status", "--format", "{status}"]
    while time.monotonic() < deadline and serving.poll() is None:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        if done.stdout.split() == ["live"] * accounts:
            return
        time.sleep(0.2)
    serving.terminate()
    log = serving.communicate()[1].decode(errors="replace")
    raise SystemExit(f"monitor serve has not polled {accounts} accounts:\n{log}")
