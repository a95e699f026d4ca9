"""A day, and its morning after, in the life of five folders, with nobody at the keys."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.credentials.claude_code import Discovery
from monitor.credentials.keyring import Keyring
from monitor.demo.server import SimulatedApi
from monitor.terminal.frame import frame
from monitor.terminal.screen import Screen
from monitor.terminal.text import Size
from tests.scenarios.claude import (
    ClaudeFolder,
    Person,
    RenamedFile,
    RewrittenFile,
    Tokens,
    milliseconds,
)
from tests.scenarios.clock import DayClock
from tests.scenarios.factories import START, KeyringInMemory, hours, living, statuses
from tests.scenarios.program import Machine, Running

HOURS, SHORTER = 30, 26
INTERVAL_SECS = 900
TICK_SECS = 120
MOMENT, LONG = 0.01, 0.6
"""Hours that a file is half-written: until the next look, or for longer than polls are apart."""

WIDE, NARROW = Size(136, 12), Size(40, 12)
SHOWN_HOME = "/home/somebody-here"


class Day:
    """A home, its people, Claude Code in their folders, and what is to happen at which hour."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = DayClock(START)
        self.tokens = Tokens(self.clock)
        self.clock.at_each_move = self.tokens.end_in_time
        self.keyring = KeyringInMemory()
        self.anna, self.ben, self.cleo, self.dora, self.erin, self.fay = self.people = [
            Person(f"{name}@example.com", number, START)
            for number, name in enumerate(("anna", "ben", "cleo", "dora", "erin", "fay"))
        ]
        self.main = self.folder("", RenamedFile)
        self.work = self.folder("-work", RewrittenFile)
        self.lab = self.folder("-lab", RenamedFile)
        self.away = self.folder("-away", RenamedFile)
        self.ci = self.folder("-ci", RewrittenFile)
        self.agenda = sorted(self.events().items())
        self.pictures: list[str] = []
        self.told: list[str] = []
        self.said: dict[str, list[str]] = {}
        # Everybody has been logged in for a while.
        self.main.log_in(self.anna, timedelta(hours=6))
        self.work.log_in(self.ben, timedelta(hours=4))
        self.lab.log_in(self.cleo, timedelta(hours=7))
        self.away.log_in(self.dora, timedelta(hours=8))
        self.ci.log_in(self.fay, timedelta(hours=6))

    def folder(self, ending: str, place: type[RenamedFile]) -> ClaudeFolder[RenamedFile]:
        folder = self.home / f".claude{ending}"
        folder.mkdir()
        json = (folder if ending else self.home) / ".claude.json"
        return ClaudeFolder(self.tokens, self.clock, json, place(folder))

    def beside(self) -> tuple[Person, Person, Person]:
        """Three more, without a folder: a session key, a program that prints tokens, a setup-token in the keyring."""
        gina, hal, ivy = more = tuple(
            Person(f"{name}@example.com", number, START)
            for number, name in enumerate(("gina", "hal", "ivy"), 7)
        )
        self.people += more
        gina.simulated.session_keys.add("sk-ant-sid01-gina")
        ivy.simulated.tokens.add("sk-ant-oat01-ivy")
        ivy.simulated.can_read_usage = False
        self.keyring.kept |= {gina.name: "sk-ant-sid01-gina", ivy.name: "sk-ant-oat01-ivy"}
        for hour in range(0, HOURS, 8):
            self.agenda.append((max(hour - 0.5, 0), lambda: self.print_for(hal)))
        self.agenda.sort(key=lambda event: event[0])
        return gina, hal, ivy

    def print_for(self, hal: Person) -> None:
        """What his program prints from now on; the token before it works until its end."""
        token = self.tokens.issue(hal, timedelta(hours=8.5))
        printed = {"accessToken": token.text, "expiresAt": milliseconds(token.ends)}
        (self.home / "hal").write_text(json.dumps(printed))

    def events(self) -> dict[float, Callable[[], None]]:
        """What happens, by the hours since the start."""
        return {
            # Anna works all day, in steps of eight hours.
            5.9: self.main.renew,
            13.8: self.main.renew,
            21.7: self.main.renew,
            29.6: self.main.renew,
            # Ben sleeps longer than his token lives. His file is written over, and once is half-written for a while.
            8.2: self.work.begin_to_renew,
            8.2 + MOMENT: self.work.go_on,
            15.1: self.work.begin_to_renew,
            15.1 + LONG: self.work.go_on,
            28.2: self.work.renew,
            # Anna borrows Cleo's folder from 10 to 16.
            6.9: self.lab.renew,
            10.0: lambda: self.lab.switch(self.anna),
            10.02: self.lab.note,
            16.0: lambda: self.lab.switch(self.cleo),
            16.02: self.lab.note,
            23.9: self.lab.renew,
            # Dora logs out. Erin, whom nobody watches, uses her folder for a while. Dora comes back.
            5.0: self.away.log_out,
            9.0: lambda: self.away.log_in(self.erin),
            11.2: self.away.log_out,
            13.0: lambda: self.away.log_in(self.dora),
            20.9: self.away.renew,
            28.8: self.away.renew,
            # Fay's folder gets a setup-token, and a login again in the evening.
            3.0: lambda: self.ci.hold_setup_token(self.fay),
            20.0: lambda: self.ci.log_in(self.fay),
            27.9: self.ci.renew,
        }

    async def live(self, running: Running, until: float) -> None:
        """Let the day go on to this hour."""
        while self.hour < until:
            while self.agenda and self.agenda[0][0] <= self.hour:
                self.agenda.pop(0)[1]()
            await running.pass_time(TICK_SECS)
            self.check_figures(running)
            if self.clock.now().minute == 30 and self.clock.now().second == 0:
                self.look(running)

    @property
    def hour(self) -> float:
        return (self.clock.now() - START).total_seconds() / 3600

    def check_figures(self, running: Running) -> None:
        """Every account has its own figures, whatever happens."""
        for person in self.people:
            account = running.state.accounts.get(person.name)
            week = account.usage.window("7d") if account and account.usage else None
            assert week is None or week.utilization == person.week / 100, person.name

    def look(self, running: Running) -> None:
        """Keep what the table shows now."""
        now = self.clock.now()
        wide, narrow = (frame(running.state, Screen(), now, size).text for size in (WIDE, NARROW))
        told = "".join(f"told: {line}\n" for line in self.told)
        self.told.clear()
        picture = f"=== {now:%a %H:%M}\n{told}{wide}{narrow}"
        self.pictures.append(picture.replace(str(self.home), SHOWN_HOME))
        for name, words in statuses(wide):
            self.said.setdefault(name, []).append(words)


@pytest.fixture
def day() -> Iterator[Day]:
    """In a home whose path is always as long, since the table has room for shorter paths only."""
    home = Path(tempfile.mkdtemp(prefix="a-day-", dir="/tmp"))
    assert len(str(home)) == len(SHOWN_HOME)
    try:
        yield Day(home)
    finally:
        shutil.rmtree(home)


@asynccontextmanager
async def world(day: Day, settings: str) -> AsyncIterator[tuple[Machine, SimulatedApi]]:
    """The machine of the day, which has Linux, and the API that knows its people."""

    def discover() -> Discovery:
        return Discovery(environ={"HOME": str(day.home)}, platform="linux")

    keyring = Keyring(lambda: day.keyring)
    async with living(day.home, day.clock, day.people, settings, keyring, discover) as found:
        day.told = found[0].told.lines
        yield found


LIVE, LOGGED_IN, WAITING = "Live", "Logged In", "Waiting for Claude Code"
LOGGED_OUT = "Logged out — claude /login"
DAMAGED = "Half-written or damaged"
NO_SCOPE = "Log in: claude /login"
"""What is left, in 124 columns, of "Token can't read usage — run claude, then /login"."""

BEN = hours(
    (4, LIVE), (8, WAITING), (15, LIVE), (16, DAMAGED), (23, LIVE), (28, WAITING), (HOURS, LIVE)
)
FAY = hours((6, LIVE), (20, NO_SCOPE), (HOURS, LIVE))


def expected(*, dora_until: int) -> dict[str, list[str]]:
    """Linked accounts are logged out with the folder; others have their last token until it ends."""
    return {
        "anna@example.com": hours((HOURS, LOGGED_IN)),
        "ben@example.com": BEN,
        "cleo@example.com": hours((15, LIVE), (16, LOGGED_OUT), (HOURS, LIVE)),
        "dora@example.com": hours((dora_until, LIVE), (13, LOGGED_OUT), (HOURS, LIVE)),
        "fay@example.com": FAY,
    }


def check_requests(api: SimulatedApi, day: Day) -> None:
    """Nothing that is dead was ever sent, and who is logged in twice is asked about once."""
    assert [seen for seen in api.seen if seen.account is None] == []
    assert api.requests_of(day.erin.name) == [], "nobody watches Erin"
    both, one = [polls_within(api, p, 11, 15) for p in (day.anna, day.ben)]
    assert abs(both - one) <= 1
    assert both <= 4 * 3600 / INTERVAL_SECS


def polls_within(api: SimulatedApi, person: Person, first: int, last: int) -> int:
    begin, end = (START + timedelta(hours=hour) for hour in (first, last))
    return sum(begin <= seen.at < end for seen in api.requests_of(person.name))


@pytest.mark.parametrize(("storage", "dora_until"), [("keyring", 8), ("linked", 5)])
async def test_a_day_without_a_key_press(day: Day, storage: str, dora_until: int) -> None:
    """Where a token is only linked to, a logout ends it at once, and another login in its place does not."""
    settings = f'[settings]\npoll_interval_secs = {INTERVAL_SECS}\nstorage = "{storage}"\n'
    async with world(day, settings) as (machine, api), machine.running() as running:
        await running.app.credentials.accounts.import_all(
            await running.app.credentials.watcher.find_places()
        )
        await running.settled()
        await day.live(running, SHORTER)
    whole = expected(dora_until=dora_until)
    assert day.said == {name: words[:SHORTER] for name, words in whole.items()}
    check_requests(api, day)
    kept = set(day.keyring.kept)
    assert kept == (set(day.said) if storage == "keyring" else set())


async def test_a_day_with_tokens_from_everywhere_and_two_restarts(
    day: Day, golden: Callable[[str, str], None]
) -> None:
    gina, hal, ivy = day.beside()
    async with world(day, settings_of_all(day, hal)) as (machine, api):
        for restart in (14.2, 25, HOURS):
            async with machine.running() as running:
                await day.live(running, restart)
    assert day.said == {
        **expected(dora_until=5),
        gina.name: hours((HOURS, LIVE)),
        hal.name: hours((HOURS, LIVE)),
        ivy.name: hours((HOURS, NO_SCOPE)),
    }
    check_requests(api, day)
    assert set(day.keyring.kept) == {p.name for p in (day.cleo, gina, ivy)}
    golden("day.txt", "\n".join(day.pictures))


def settings_of_all(day: Day, hal: Person) -> str:
    """Everybody is in the settings already, and nothing was ever imported."""
    more = {
        day.ben: 'storage = "linked"\nconfig_dir = "~/.claude-work"\n',
        day.cleo: 'storage = "keyring"\n',
        day.dora: 'storage = "linked"\n',
        hal: f'token_command = ["cat", "{day.home}/hal"]\n',
    }
    return f"[settings]\npoll_interval_secs = {INTERVAL_SECS}\n" + "".join(
        f'[[accounts]]\nname = "{person.name}"\norg_id = "{person.simulated.org_uuid}"\n'
        f'auth_method = "{"session_key" if person.simulated.session_keys else "oauth"}"\n'
        f"{more.get(person, '')}"
        for person in day.people
        if person is not day.erin
    )
