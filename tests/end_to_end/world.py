"""A user's machine in one folder: GNOME Keyring and dunst on a private bus, Claude Code logins, a simulated API."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_urlsafe

from monitor.demo.server import Limit, Limits, SimulatedAccount, SimulatedApi
from tests.exporters.fakes import loop_in_thread
from tests.real.desktop import Desktop, dunst, screen
from tests.real.secret_service import secret_service

MONITOR = [sys.executable, "-m", "monitor"]


def canary(kind: str) -> str:
    """A secret that stands nowhere else in the world."""
    return f"sk-ant-{kind}-canary-{token_urlsafe(24)}"


@dataclass
class Person:
    """One account of the machine: its login in Claude Code's folder (none for a session key), and what it uses."""

    name: str
    folder: str | None
    simulated: SimulatedAccount
    secret: str
    refresh_token: str = field(default_factory=lambda: canary("ort01"))

    def uses(self, percent: float, ends: datetime, week: float = 18) -> None:
        """From now on the API says so."""
        five_hours, seven_days = Limit(percent, ends), Limit(week, ends + timedelta(days=6))
        self.simulated.limits = lambda _: Limits(five_hours, seven_days)


@dataclass
class Machine:
    """`env` is what a program of the user's has; `port` is where `/metrics` is to be served."""

    home: Path
    env: dict[str, str]
    desktop: Desktop
    api: SimulatedApi
    people: list[Person]
    port: int
    printed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)

    @property
    def canaries(self) -> list[str]:
        """Every secret that is or was in use."""
        used = [secret for p in self.people for secret in (p.secret, p.refresh_token)]
        return used + self.retired

    def run(self, *words: str, stdin: str = "") -> str:
        """What `monitor` prints; it must succeed."""
        done = subprocess.run(
            [*MONITOR, *words],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.printed += [done.stdout, done.stderr]
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write_login(self, person: Person, secret: str) -> None:
        """What Claude Code does at a login, and when it renews a token."""
        assert person.folder is not None
        folder = self.home / person.folder
        folder.mkdir(exist_ok=True)
        ends = int((time.time() + 8 * 3600) * 1000)
        login = {"accessToken": secret, "refreshToken": person.refresh_token, "expiresAt": ends}
        new = folder / ".credentials.json.new"
        new.write_text(json.dumps({"claudeAiOauth": login, "mcpOAuth": {}}))
        new.replace(folder / ".credentials.json")


def people() -> list[Person]:
    def person(name: str, number: int, folder: str | None) -> Person:
        secret = canary("oat01" if folder else "sid01")
        account = SimulatedAccount(name, f"acc-{number}", f"org-{number}")
        (account.tokens if folder else account.session_keys).add(secret)
        made = Person(name, folder, account, secret)
        made.uses(10 * number, datetime.now(UTC) + timedelta(hours=2))
        return made

    return [
        person("user@personal.com", 1, ".claude"),
        person("user@work.com", 2, ".claude-work"),
        person("user@client.com", 3, ".claude-client"),
        person("web", 4, None),
    ]


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    everyone = people()
    for name in ("keyring", "desktop"):
        (folder / name).mkdir()
    with (
        secret_service(folder / "keyring") as (bus, env),
        screen(folder / "desktop") as display,
        dunst(folder / "desktop", bus, display) as desktop,
        simulated([person.simulated for person in everyone]) as api,
    ):
        home = Path(env["HOME"])
        port = free_port()
        write_settings(home, api.url, port)
        yield Machine(home, env, desktop, api, everyone, port)


@contextmanager
def simulated(
    accounts: list[SimulatedAccount], ahead: timedelta = timedelta(0)
) -> Iterator[SimulatedApi]:
    """The API, whose clock the machine's is `ahead` of."""
    api = SimulatedApi(accounts, now=lambda: datetime.now(UTC) - ahead)

    async def start() -> None:
        await api.__aenter__()

    with loop_in_thread() as run:
        run(start())
        try:
            yield api
        finally:
            run(api.__aexit__())


def write_settings(home: Path, api: str, port: int) -> None:
    file = home / ".config" / "claude-tracker" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'# mine\n[settings]\npoll_interval_secs = 30\n[exporter]\nlisten = "127.0.0.1:{port}"\n'
        f'[api]\nurl = "{api}"\nweb_url = "{api}"\n'
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
