"""Tokens, session keys and refresh tokens from every source at once: none of them is found where it does not belong."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from monitor.credentials.keychain import services
from monitor.demo.server import Fault, Limit, Limits, SimulatedAccount, SimulatedApi
from monitor.ipc.client import ask, stream
from tests.app.leader_process import socket_of
from tests.credentials.fake_security import FakeSecurity
from tests.end_to_end.canaries import (
    ENCODINGS,
    Processes,
    files_below,
    leaks,
    watched_processes,
)
from tests.end_to_end.world import canary, free_port, simulated
from tests.real.bus import wait_until
from tests.real.pty import Terminal, terminal_env
from tests.real.secret_service import secret_service

PLANTED = (".credentials.json", "given@example.com", "print.txt", "keychain")
"""Files of Claude Code, of systemd, of the user's own program, and of the Keychain."""

ON_A_MAC = """
import sys
from monitor.credentials.claude_code import ClaudeCode
from monitor.credentials.claude_code import Discovery
from monitor.credentials.keychain import Security

for made in (ClaudeCode.__init__, Discovery.__init__):
    made.__kwdefaults__["platform"] = "darwin"
Security.__init__.__defaults__ = ("{security}", *Security.__init__.__defaults__[1:])
"""
"""The real program, with the Keychain among the places where it looks for logins."""

WITH_A_BUG = """
from monitor.api.client import Client

async def _ask(self, url, headers, auth_method):
    raise RuntimeError(f"a bug: {headers!r}") from KeyError(str(headers))

Client._ask = _ask
"""
"""A bug in the midst of a poll, whose words hold the token."""

RUN = """
from monitor.cli import main
sys.exit(main(sys.argv[1:]))
"""

SLOWLY = """#!/bin/sh
sleep 0.2
cat "$0.txt"
"""
"""A user's own program that prints a token, and is there long enough to be looked at."""

TELL = "sleep 0.2; (cat; env; tr '\\0' ' ' < /proc/$$/cmdline) >> {home}/told"

SAID = (
    "status",
    "status --json",
    "next --json",
    "next --all",
    "history",
    "history --csv",
    "history --openmetrics",
    "accounts list",
    "accounts import --all",
    "doctor",
    "doctor --json",
    "alerts list --json",
    "alerts explain",
    "notify-test",
)


@dataclass
class Holder:
    """One account, and the secret that opens it."""

    name: str
    number: int
    kind: str = "oat01"
    refresh_token: str = field(default_factory=lambda: canary("ort01"))
    secret: str = field(init=False)
    simulated: SimulatedAccount = field(init=False)

    def __post_init__(self) -> None:
        self.secret = canary(self.kind)
        self.simulated = SimulatedAccount(self.email, f"acc-{self.number}", f"org-{self.number}")
        keys = self.simulated.session_keys if self.kind == "sid01" else self.simulated.tokens
        keys.add(self.secret)
        self.uses(8 * self.number)

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"

    def uses(self, percent: float) -> None:
        ends = datetime.now(UTC) + timedelta(hours=2)
        self.simulated.limits = lambda _: Limits(Limit(percent, ends), Limit(5, ends))

    def is_answered(self, status: int, body: str) -> None:
        """From now on the API says this, and repeats the secret in it."""
        answer = Fault(status, json.dumps({body: self.secret}).encode())
        self.simulated.fault = lambda _: answer

    @property
    def login(self) -> str:
        """What Claude Code writes of it."""
        entry = {
            "accessToken": self.secret,
            "refreshToken": self.refresh_token,
            "expiresAt": int((time.time() + 8 * 3600) * 1000),
            "scopes": ["user:inference", "user:profile"],
        }
        return json.dumps({"claudeAiOauth": entry, "mcpOAuth": {"x": {"accessToken": OTHER}}})


OTHER = canary("other")
"""What MCP servers, prompts and transcripts hold, and is none of our business."""


class User:
    """One user, whose tokens come from every source that there is, and the processes that the user runs."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home = home
        self.port = free_port()
        self.env = {
            **env,
            "USER": "alice",
            "TMPDIR": str(home / "tmp"),
            "CREDENTIALS_DIRECTORY": str(home / "given"),
            "PYTHON_COLORS": "0",
        }
        self.api: SimulatedApi
        self.shown: dict[str, bytes] = {}
        names = ("kept", "linked", "mac", "given", "printed", "new")
        tokens = [Holder(name, number) for number, name in enumerate(names, 1)]
        keys = [Holder("typed", 7, "sid01"), Holder("sent", 8, "sid01")]
        self.holders = {holder.name: holder for holder in (*tokens, *keys)}

    @property
    def secrets(self) -> list[str]:
        return [OTHER, *(s for h in self.holders.values() for s in (h.secret, h.refresh_token))]

    def move_in(self, api: str) -> None:
        """Everything is in its place before the program is run for the first time."""
        for name in ("tmp", "given", ".claude-mac"):
            (self.home / name).mkdir()
        for name in ("kept", "linked", "new"):
            folder = self.home / f".claude-{name}"
            folder.mkdir()
            (folder / ".credentials.json").write_text(self.holders[name].login)
        (self.home / "given" / "given@example.com").write_text(self.holders["given"].secret)
        (self.home / "print.txt").write_text(self.holders["printed"].login)
        (self.home / "print").write_text(SLOWLY)
        (self.home / "print").chmod(0o700)
        self.security = FakeSecurity(self.home / "mac")
        service = services(str(self.home / ".claude-mac"))[0]
        self.security.put(service, self.holders["mac"].login)
        self.write_settings(api)

    def write_settings(self, api: str) -> None:
        file = self.home / ".config" / "claude-tracker" / "config.toml"
        file.parent.mkdir(parents=True)
        tell = ["sh", "-c", TELL.format(home=self.home)]
        file.write_text(
            f'[settings]\npoll_interval_secs = 30\n[exporter]\nlisten = "127.0.0.1:{self.port}"\n'
            f'[api]\nurl = "{api}"\nweb_url = "{api}"\n'
            f'[notifications]\nchannels = ["command"]\n[channels.command]\nargv = {json.dumps(tell)}\n'
            + self.account("linked", 'storage = "linked"')
            + self.account("mac", 'storage = "linked"')
            + self.account("given", 'storage = "systemd"')
            + self.account("printed", f'token_command = ["{self.home}/print"]')
        )

    def account(self, name: str, where: str) -> str:
        holder = self.holders[name]
        return (
            f'[[accounts]]\nname = "{holder.email}"\norg_id = "{holder.simulated.org_uuid}"\n'
            f'auth_method = "oauth"\n{where}\n'
        )

    def program(self, *words: str, bug: str = "") -> list[str]:
        """The real one, on what its sources take for a Mac."""
        on_a_mac = ON_A_MAC.format(security=self.security.program)
        return [sys.executable, "-c", f"{on_a_mac}{bug}{RUN}", *words]

    def run(self, *words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[bytes]:
        return self._done(words, stdin.encode(), self.program(*words), env)

    def run_with_a_bug(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return self._done(("a bug in", *words), b"", self.program(*words, bug=WITH_A_BUG), {})

    def _done(
        self, name: tuple[str, ...], stdin: bytes, argv: list[str], env: dict[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            argv, env={**self.env, **env}, input=stdin, capture_output=True, timeout=30
        )
        said = self.shown.get(" ".join(name), b"")
        self.shown[" ".join(name)] = said + done.stdout + done.stderr
        return done

    @contextmanager
    def serving(self) -> Iterator[None]:
        file = self.home / "serve.log"
        with file.open("wb") as log:
            argv = self.program("serve", "--log-level", "debug")
            service = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stderr=log)
        try:
            wait_until(lambda: b"metrics on" in file.read_bytes(), "the service")
            yield
        finally:
            service.terminate()
            assert service.wait(15) == 0

    @contextmanager
    def table(self, name: str) -> Iterator[Terminal]:
        env = {**terminal_env(), **self.env}
        shown = Terminal(self.program("tui", "--log-level", "debug"), env=env)
        try:
            yield shown
            shown.keys("q")
            assert shown.wait_for_exit() == 0
        finally:
            shown.close()
            self.shown[name] = shown.raw

    def forget_what_is_due(self) -> None:
        """The next process polls at once."""
        state = self.home / ".local" / "state" / "claude-tracker"
        for file in state.glob("state.db*"):
            file.replace(self.home / f"former-{file.name}")

    def looked_at_from_outside(self) -> None:
        """What a scraper, a browser and another program of the user's are told."""
        for path in ("metrics", ""):
            page = urlopen(f"http://127.0.0.1:{self.port}/{path}").read()
            self.shown[f"page /{path}"] = page
        assert self.shown["page /metrics"].count(b"claude_usage_up{") == len(self.holders)
        socket = socket_of(self.env)
        answer = ask(socket, {"type": "Who"})
        assert answer is not None and answer[0] == 0
        self.shown["socket: who"] = answer[1]
        states = stream(socket, {"type": "WatchState"})
        assert states is not None
        self.shown["socket: state"] = next(states)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with secret_service(tmp_path) as (_, env):
        found = User(Path(env["HOME"]), env)
        with simulated([holder.simulated for holder in found.holders.values()]) as api:
            found.move_in(api.url)
            found.api = api
            yield found


def test_no_secret_is_found_where_it_does_not_belong(user: User) -> None:
    with watched_processes(user.home) as processes:
        before_anything_runs(user)
        a_table_that_polls(user)
        a_service_and_a_table_that_watches(user)
        a_bug_in_the_midst_of_a_poll(user)
    check_that_all_were_in_use(user, processes)
    texts = {**files_below(user.home.parent, PLANTED), **user.shown, **processes.seen}
    assert leaks(texts, user.secrets) == []


def before_anything_runs(user: User) -> None:
    kept, typed = user.holders["kept"], user.holders["typed"]
    folder = str(user.home / ".claude-kept")
    assert b"imported" in user.run("accounts", "import", "--config-dir", folder).stdout
    adding = ("accounts", "add", "--name", typed.email, "--org-id", "org-7")
    assert user.run(*adding, stdin=f"{typed.secret}\n").returncode == 0
    assert kept.email in user.run("accounts", "list").stdout.decode()


def a_table_that_polls(user: User) -> None:
    with user.table("the table that polls") as table:
        for name in ("linked", "mac", "given", "printed", "kept", "typed"):
            table.wait_for(f"{8 * user.holders[name].number}%", 30)


def a_service_and_a_table_that_watches(user: User) -> None:
    user.forget_what_is_due()
    user.holders["kept"].uses(97)
    user.holders["linked"].is_answered(500, "error")
    user.holders["given"].is_answered(401, "error")
    user.holders["printed"].is_answered(200, "five_hour")
    with user.serving(), user.table("the table that watches") as table:
        table.wait_for("attached to monitor")
        sent = user.holders["sent"]
        table.keys("a")
        table.wait_for("Session key")
        table.keys(f"{sent.email}\t")
        table.paste(sent.secret)
        table.keys("\torg-8\r")
        table.wait_for(f"{8 * sent.number}%")
        table.wait_for("97%")
        ingest(user)
        for words in SAID:
            user.run(*words.split())
        table.wait_for("new@example.com")
        wait_until((user.home / "told").exists, "an alert")
        user.looked_at_from_outside()


def ingest(user: User) -> None:
    said = {
        "session_id": "5f1c",
        "transcript_path": f"/{OTHER}",
        "workspace": {"current_dir": f"/{OTHER}"},
        "rate_limits": {"five_hour": {"used_percentage": 33, "resets_at": int(time.time() + 999)}},
    }
    folder = str(user.home / ".claude-mac")
    done = user.run("ingest", stdin=json.dumps(said), CLAUDE_CONFIG_DIR=folder)
    assert (done.returncode, done.stderr) == (0, b"")


def a_bug_in_the_midst_of_a_poll(user: User) -> None:
    for words in (("serve", "--log-level", "debug"), ("status",)):
        user.forget_what_is_due()
        done = user.run_with_a_bug(*words)
        assert done.returncode == 3
        assert b"because of a bug in it" in done.stderr
        assert b"a bug: {" in done.stderr, "the words of the bug, with the token taken out"


def check_that_all_were_in_use(user: User, processes: Processes) -> None:
    """What is looked for could have been found: it was there, and the search finds it."""
    for holder in user.holders.values():
        assert user.api.requests_of(holder.email), holder.name
    for words in (b"find-generic-password", b"/print", b"/told", b"serve", b"tui", b"doctor"):
        assert processes.ran(words), words
    everything = files_below(user.home.parent)
    assert {Path(name).name for name in leaks(everything, user.secrets)} == set(PLANTED)
    state = ("monitor.log", "state.db", "serve.log", "told")
    names = {Path(name).name for name in everything}
    assert names >= set(state), names


@pytest.mark.parametrize("place", range(3))
def test_a_secret_is_found_in_any_form(place: int) -> None:
    secret = canary("oat01")
    text = b"?" * place + secret.encode() + b" and more"
    encoded = (text, text.hex().encode(), *(encode(text) for encode in ENCODINGS))
    cut = f"…{secret[-24:]}".encode()
    assert [leaks({"": each}, [secret]) for each in (*encoded, cut)] == [[""]] * 5
    assert leaks({"": text}, [canary("oat01")]) == []
