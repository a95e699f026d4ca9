"""The same with the Keychain: a `security` that is locked over ssh, asks somebody who is away, refuses, prints hex."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.credentials.claude_code import Discovery
from monitor.credentials.keychain import Security, services
from monitor.credentials.keyring import Keyring
from monitor.terminal.table import render_plain
from tests.credentials.fake_security import FakeSecurity
from tests.scenarios.claude import ClaudeFolder, Person, Tokens
from tests.scenarios.clock import DayClock
from tests.scenarios.factories import START, KeyringInMemory, hours, living, statuses
from tests.scenarios.program import Running

HOURS = 24
INTERVAL_SECS = 1800
LOOK_MINUTE = 55
WRONG = (7, 8), (9, 10)
"""The hours in which one looks more often."""

PROMPT_SECS = 0.5
"""So long a question may hang here; on a Mac it is five seconds."""

MCP_ONLY = '{"mcpOAuth":{"tool":{"accessToken":"other"}}}'


@dataclass
class Item:
    """A login in the Keychain; `behaviour` is how it answers whoever asks for its secret."""

    security: FakeSecurity
    clock: DayClock
    service: str
    behaviour: dict[str, Any] = field(default_factory=dict)

    def write(self, text: str) -> None:
        self.security.put(self.service, text, at=self.clock.now(), **self.behaviour)

    def clear(self) -> None:
        self.security.remove(self.service)

    def behave(self, **behaviour: Any) -> None:
        """From now on, what is written later included."""
        self.behaviour = behaviour
        self.security.behave(self.service, **behaviour)

    def asked(self) -> int:
        """How often somebody asked for its secret."""
        calls = self.security.calls("find-generic-password")
        return sum("-w" in call and self.service in call for call in calls)


class MacDay:
    """Three folders on a Mac, and what is to happen at which hour."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = DayClock(START)
        self.tokens = Tokens(self.clock)
        self.clock.at_each_move = self.tokens.end_in_time
        self.security = FakeSecurity(home / "bin")
        self.anna, self.ben, self.cleo = self.people = [
            Person(f"{name}@example.com", number, START)
            for number, name in enumerate(("anna", "ben", "cleo"))
        ]
        self.main, self.work, self.lab = (self.folder(name) for name in ("", "-work", "-lab"))
        self.items = _, self.work_item, self.lab_item = [
            folder.place for folder in (self.main, self.work, self.lab)
        ]
        self.work_item.behave(hex=True)
        self.main.log_in(self.anna, timedelta(hours=6))
        self.work.log_in(self.ben, timedelta(hours=5))
        self.lab.log_in(self.cleo, timedelta(hours=9))
        self.agenda = sorted(self.events().items())
        self.said: dict[str, list[str]] = {}
        self.asked: dict[int, list[int]] = {}

    def folder(self, ending: str) -> "ClaudeFolder[Item]":
        folder = self.home / f".claude{ending}"
        folder.mkdir()
        service = services(str(folder) if ending else "")[0]
        json = (folder if ending else self.home) / ".claude.json"
        return ClaudeFolder(self.tokens, self.clock, json, Item(self.security, self.clock, service))

    def events(self) -> dict[float, Callable[[], None]]:
        """What happens, by the hours since the start."""
        return {
            # Somebody has come by ssh: the Keychain is locked for an hour. Nothing is renewed meanwhile.
            1.0: lambda: self.security.set(locked=True),
            2.0: lambda: self.security.set(locked=False),
            4.75: self.work.renew,
            5.75: self.main.renew,
            # And once more, while Claude Code renews on the desktop.
            7.0: lambda: self.security.set(locked=True),
            7.1: self.work.renew,
            8.0: lambda: self.security.set(locked=False),
            # A question is on the screen, and nobody is there for more than an hour.
            8.75: lambda: self.lab_item.behave(hang=True),
            8.8: self.lab.renew,
            10.0: self.lab_item.behave,
            # Ben has pressed Deny. What Claude Code writes next may be read again.
            12.0: lambda: self.work_item.behave(exit=51),
            12.05: self.work.renew,
            13.7: self.main.renew,
            14.0: self.work_item.behave,
            14.05: self.work.renew,
            # Anna logs out, and in again in the evening.
            16.0: self.main.log_out,
            16.5: self.lab.renew,
            # Of Cleo's item nothing but logins of MCP servers is left for a while; listing hangs meanwhile.
            18.0: lambda: self.lab_item.write(MCP_ONLY),
            18.05: lambda: self.security.set(dump={"hang": True}),
            20.0: lambda: self.lab.log_in(self.cleo),
            19.0: lambda: self.security.set(dump={}),
            21.75: self.work.renew,
            22.0: lambda: self.main.log_in(self.anna),
        }

    async def live(self, running: Running) -> None:
        for minute in self.stops():
            await running.pass_time(60 * (minute - self.minute))
            assert self.security.running() == [], "questions pile up"
            self.check_figures(running)
            while self.agenda and 60 * self.agenda[0][0] <= minute:
                self.agenda.pop(0)[1]()
            if minute % 60 == LOOK_MINUTE:
                self.look(running)

    def stops(self) -> list[int]:
        """When one looks, when something happens, and often where something is wrong."""
        happens = [round(60 * at) for at, _ in self.agenda]
        wrong = [minute for begin, end in WRONG for minute in range(60 * begin, 60 * end, 20)]
        looks = range(LOOK_MINUTE, 60 * HOURS, 60)
        return sorted({*looks, *happens, *wrong} - {0})

    @property
    def minute(self) -> int:
        return round((self.clock.now() - START).total_seconds() / 60)

    def check_questions(self) -> None:
        """Secrets are asked for where something was written or is wrong, and even then not again and again."""
        eventful = {int(at) for at in self.events()} | {begin for begin, _ in WRONG}
        for hour in range(1, HOURS):
            asked = [now - before for now, before in zip(*self.counts(hour), strict=True)]
            assert max(asked) <= (5 if hour in eventful else 0), f"{asked} in hour {hour}"

    def counts(self, hour: int) -> tuple[list[int], list[int]]:
        return self.asked[hour], self.asked[hour - 1]

    def check_figures(self, running: Running) -> None:
        for person in self.people:
            account = running.state.accounts[person.name]
            week = account.usage.window("7d") if account.usage else None
            assert week is None or week.utilization == person.week / 100, person.name

    def look(self, running: Running) -> None:
        table = render_plain(running.state, self.clock.now(), 136)
        for name, words in statuses(table):
            self.said.setdefault(name, []).append(words)
        self.asked[self.minute // 60] = [item.asked() for item in self.items]


LOGGED_OUT = "Logged out — claude /login"
LOCKED = "The Keychain is locked"
DENIED = "The Keychain refuses access"
SILENT = "The Keychain is silent"


@pytest.fixture
def day() -> Iterator[MacDay]:
    home = Path(tempfile.mkdtemp(prefix="a-day-", dir="/tmp"))
    try:
        yield MacDay(home)
    finally:
        shutil.rmtree(home)


async def test_a_day_with_a_keychain(day: MacDay) -> None:
    environ = {"HOME": str(day.home), "USER": "alice"}

    def discover() -> Discovery:
        return Discovery(
            environ=environ,
            platform="darwin",
            security=Security(day.security.program, day.clock, PROMPT_SECS),
        )

    settings = f'[settings]\npoll_interval_secs = {INTERVAL_SECS}\nstorage = "linked"\n'
    keyring = Keyring(KeyringInMemory)
    async with (
        living(day.home, day.clock, day.people, settings, keyring, discover) as (machine, api),
        machine.running() as running,
    ):
        await running.app.credentials.accounts.import_all(
            await running.app.credentials.watcher.find_places()
        )
        await running.settled()
        await day.live(running)
    assert [seen for seen in api.seen if seen.account is None] == [], "nothing dead was ever sent"
    assert day.said == {
        "anna@example.com": hours((16, "Logged In"), (22, LOGGED_OUT), (24, "Logged In")),
        "ben@example.com": hours(
            (7, "Live"), (8, LOCKED), (12, "Live"), (14, DENIED), (24, "Live")
        ),
        "cleo@example.com": hours(
            (9, "Live"), (10, SILENT), (18, "Live"), (20, LOGGED_OUT), (24, "Live")
        ),
    }
    day.check_questions()
    assert [(line[:2], *line.split()[1:]) for line in machine.told.lines] == [
        ("07", "unreadable", day.ben.name),
        ("09", "unreadable", day.cleo.name),
        ("13", "unreadable", day.ben.name),
        ("17", "login", day.anna.name),
        ("19", "login", day.cleo.name),
    ]
