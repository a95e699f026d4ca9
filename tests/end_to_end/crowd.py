"""Many `monitor` processes of one user over one simulated API. Tokens are linked, so there is no bus and no keyring."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from monitor.demo.server import Limit, Limits, SimulatedAccount, SimulatedApi
from monitor.ipc.client import ask
from monitor.ipc.lock import holder
from monitor.paths import config_path, instance
from monitor.settings import state_db
from monitor.storage.db import read_only
from tests.end_to_end.world import MONITOR, canary, free_port, simulated
from tests.real.bus import wait_until
from tests.real.pty import Terminal, terminal_env

INTERVAL_SECS = 30
"""The shortest that the settings allow."""


@dataclass
class Crowd:
    """One user's processes. Terminals are read by nobody but `read`: they may stall."""

    home: Path
    env: dict[str, str]
    api: SimulatedApi
    port: int
    services: list[subprocess.Popen[bytes]] = field(default_factory=list)
    tables: list[Terminal] = field(default_factory=list)

    @property
    def lock(self) -> str:
        return instance(self.env, config_path(self.env))[0]

    @property
    def socket(self) -> str:
        return instance(self.env, config_path(self.env))[1]

    @property
    def runtime(self) -> Path:
        """Where the lock and the socket are."""
        return Path(self.env["XDG_RUNTIME_DIR"])

    @property
    def leader(self) -> int | None:
        """The process that polls now."""
        pid = holder(self.lock)
        return pid if pid in self.living else None

    @property
    def living(self) -> set[int]:
        processes = [*self.services, *(table.process for table in self.tables)]
        return {process.pid for process in processes if process.poll() is None}

    def serve(self, log: str = "serve.log", **env: str) -> "subprocess.Popen[bytes]":
        """One more service; its lines go to the end of this file."""
        with (self.home / log).open("ab") as lines:
            started = subprocess.Popen(
                [*MONITOR, "serve", "--log-level", "debug"],
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stderr=lines,
            )
        self.services.append(started)
        return started

    def table(self, *options: str) -> Terminal:
        opened = Terminal([*MONITOR, "tui", *options], env={**terminal_env(), **self.env})
        self.tables.append(opened)
        return opened

    def read(self) -> None:
        """Let every terminal take what was written to it."""
        for table in self.tables:
            if table.process.poll() is None:
                table.read(0)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MONITOR, *words], env=self.env, capture_output=True, text=True, timeout=30
        )

    def wait_for_leader(self, seconds: float = 20) -> int:
        wait_until(lambda: self.answers(), "a leader that answers", seconds)
        assert self.leader is not None
        return self.leader

    def answers(self) -> bool:
        """Whether the process that holds the lock serves metrics, and is one of ours."""
        self.read()
        return self.leader is not None and ask(self.socket, {"type": "Who"}) is not None

    def kill_leader(self) -> float:
        """Kill it with -9; the seconds until another one has taken over."""
        old = self.wait_for_leader()
        os.kill(old, signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: self.leader not in (None, old), "another leader", 20)
        return time.monotonic() - began

    @property
    def settings(self) -> Path:
        return Path(config_path(self.env))

    def gaps(self, account: SimulatedAccount) -> list[float]:
        """The seconds between the requests for the account's usage, as each was counted before it was sent.

        When the API sees them depends on what else the machine has to do.
        """
        query = "SELECT at FROM requests WHERE whose = ? ORDER BY at"
        whose = f"name {account.email} of {account.org_uuid}"
        nothing: list[tuple[int]] = []
        file = state_db(self.env)
        rows = read_only(file, lambda db: db.execute(query, (whose,)).fetchall(), nothing)
        assert len(self.api.requests_of(account.email)) <= len(rows), "one was not counted"
        return [(b - a) / 1e6 for (a,), (b,) in pairwise(rows)]

    def told(self) -> list[tuple[str, str, str]]:
        """The alerts that the command channel was given: account, window, rule."""
        file = self.home / "told"
        lines = file.read_text().splitlines() if file.exists() else []
        alerts = [alert for line in lines for alert in json.loads(line)["alerts"]]
        return [(alert["account"], alert["window"], alert["rule"]) for alert in alerts]

    def scraped_within(self) -> float:
        """The seconds that one scrape takes."""
        began = time.monotonic()
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            answer.read()
        return time.monotonic() - began

    def close(self) -> None:
        for process in self.services:
            process.kill()
            process.wait()
        for table in self.tables:
            table.close()


@contextmanager
def crowd(folder: Path, accounts: int = 3, ahead: timedelta = timedelta(0)) -> Iterator[Crowd]:
    """The machine's clock is `ahead` of the API's."""
    people = [simulated_account(number) for number in range(accounts)]
    with simulated(people, ahead) as api, TemporaryDirectory(prefix="run-") as run:
        env = environment(folder, Path(run))
        port = free_port()
        write_logins(folder, people)
        write_settings(folder, api.url, port, people)
        found = Crowd(folder, env, api, port)
        try:
            yield found
        finally:
            found.close()


def simulated_account(number: int) -> SimulatedAccount:
    account = SimulatedAccount(f"user-{number}@example.com", f"acc-{number}", f"org-{number}")
    account.tokens.add(canary("oat01"))
    uses(account, 10 + number)
    return account


def uses(account: SimulatedAccount, percent: float) -> None:
    """From now on the API says so, of a window that ends in two hours."""
    ends = datetime.now(UTC) + timedelta(hours=2)
    account.limits = lambda _: Limits(Limit(percent, ends), Limit(5, ends + timedelta(days=5)))


def environment(home: Path, run: Path) -> dict[str, str]:
    """What a program of the user's has; `run` has a short name, since a socket's path is to fit."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    return {**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(run), "PYTHON_COLORS": "0"}


def write_logins(home: Path, people: list[SimulatedAccount]) -> None:
    ends = int((time.time() + 8 * 3600) * 1000)
    for number, person in enumerate(people):
        folder = home / f".claude-{number}"
        folder.mkdir()
        login = {
            "accessToken": min(person.tokens),
            "refreshToken": canary("ort01"),
            "expiresAt": ends,
            "scopes": ["user:inference", "user:profile"],
        }
        (folder / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))


def write_settings(home: Path, api: str, port: int, people: list[SimulatedAccount]) -> None:
    file = home / ".config" / "claude-tracker" / "config.toml"
    file.parent.mkdir(parents=True)
    tell = ["sh", "-c", f"(cat; echo) >> {home}/told"]
    file.write_text(
        f"[settings]\npoll_interval_secs = {INTERVAL_SECS}\n"
        f'[exporter]\nlisten = "127.0.0.1:{port}"\n'
        f'[api]\nurl = "{api}"\nweb_url = "{api}"\n'
        f'[notifications]\nchannels = ["command"]\n[channels.command]\nargv = {json.dumps(tell)}\n'
        + "".join(
            f'[[accounts]]\nname = "{p.email}"\norg_id = "{p.org_uuid}"\nauth_method = "oauth"\n'
            f'storage = "linked"\nconfig_dir = "{home}/.claude-{number}"\n'
            for number, p in enumerate(people)
        )
    )
