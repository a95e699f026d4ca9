"""A real GNOME Keyring that is locked at the start, unlocked later, gone for a while: all goes on by itself."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.credentials.claude_code import Discovery
from monitor.credentials.keyring import Keyring
from monitor.credentials.resolver import RETRY_EVERY
from monitor.credentials.watcher import LOOK_EVERY
from monitor.terminal.frame import frame
from monitor.terminal.screen import Screen
from monitor.terminal.text import Size
from tests.credentials.test_keyring_real import enter
from tests.real.bus import Bus, private_bus
from tests.real.need import need
from tests.real.secret_service import (
    keyring_on,
    lock,
    lookup,
    private_environment,
    store,
    unlock,
)
from tests.scenarios.claude import ClaudeFolder, Person, RenamedFile, Tokens
from tests.scenarios.clock import DayClock
from tests.scenarios.factories import START, living, statuses
from tests.scenarios.program import Running

INTERVAL_SECS = 30
LIVE = "Live"
LOCKED, ABSENT = "Your keyring is locked", "No system keyring available"

RECOVERY_SECS = RETRY_EVERY.total_seconds() + LOOK_EVERY
"""How long after the keyring is there again at most; then everybody is polled at once."""


class Session:
    """Anna's token is in the keyring alone; Ben's login is read live; Cleo's is followed, and kept in the keyring."""

    def __init__(self, home: Path, bus: Bus, env: dict[str, str]) -> None:
        self.home, self.bus, self.env = home, bus, env
        self.clock = DayClock(START)
        self.tokens = Tokens(self.clock)
        self.clock.at_each_move = self.tokens.end_in_time
        self.anna, self.ben, self.cleo = self.people = [
            Person(f"{name}@example.com", number, START)
            for number, name in enumerate(("anna", "ben", "cleo"))
        ]
        self.live, self.followed = self.folder("-live"), self.folder("-followed")
        self.live.log_in(self.ben)
        self.followed.log_in(self.cleo)

    def folder(self, ending: str) -> ClaudeFolder[RenamedFile]:
        folder = self.home / f".claude{ending}"
        folder.mkdir()
        return ClaudeFolder(self.tokens, self.clock, folder / ".claude.json", RenamedFile(folder))

    @property
    def settings(self) -> str:
        places = {self.anna: "keyring", self.ben: "linked", self.cleo: "keyring"}
        return f"[settings]\npoll_interval_secs = {INTERVAL_SECS}\n" + "".join(
            f'[[accounts]]\nname = "{p.name}"\norg_id = "{p.simulated.org_uuid}"\n'
            f'auth_method = "oauth"\nstorage = "{storage}"\n'
            for p, storage in places.items()
        )


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A desktop session whose keyring has not been started yet; this process is in it as well."""
    need("gnome-keyring-daemon", "secret-tool")
    folder = Path(tempfile.mkdtemp(prefix="keyring-", dir="/tmp"))  # a socket's path is short
    try:
        with private_bus(folder) as bus:
            env = private_environment(folder, bus)
            enter(env, monkeypatch)
            yield Session(Path(env["HOME"]), bus, env)
    finally:
        shutil.rmtree(folder)


async def test_polls_recover_by_themselves_and_nothing_is_lost(session: Session) -> None:
    def discover() -> Discovery:
        environ = {"HOME": str(session.home)}
        return Discovery(environ=environ, platform="linux")

    at = session
    async with living(at.home, at.clock, at.people, at.settings, Keyring(), discover) as found:
        machine, api = found
        with keyring_on(at.bus, at.env):
            kept = at.tokens.issue(at.anna).text
            store(at.env, at.anna.name, kept)
            lock(at.env)
            async with machine.running() as running:
                await lived(running, 60)
                assert said(running) == [LOCKED, LIVE, LIVE], "who is logged in needs no keyring"
                unlock()
                await lived(running, RECOVERY_SECS)
                assert said(running) == [LIVE, LIVE, LIVE]
                assert lookup(at.env, at.cleo.name) == text(at.followed)

                lock(at.env)
                at.followed.renew()
                await lived(running, 60)
                assert said(running) == [LIVE, LIVE, LIVE], "what is known needs no keyring"
                unlock()
                await lived(running, RECOVERY_SECS)
                assert lookup(at.env, at.cleo.name) == text(at.followed), "it is kept later"

            assert lookup(at.env, at.ben.name) == "", "what is read live is kept nowhere"
        async with machine.running() as running:
            await lived(running, 60)
            assert said(running) == [ABSENT, LIVE, LIVE]
            with keyring_on(at.bus, at.env):
                await lived(running, RECOVERY_SECS)
                assert said(running) == [LIVE, LIVE, LIVE]
                assert lookup(at.env, at.anna.name) == kept, "nothing is lost"
    assert [seen for seen in api.seen if seen.account is None] == []


def text(folder: ClaudeFolder[RenamedFile]) -> str:
    assert folder.token is not None
    return folder.token.text


async def lived(running: Running, seconds: float) -> None:
    for _ in range(round(seconds / LOOK_EVERY)):
        await running.pass_time(LOOK_EVERY)


def said(running: Running) -> list[str]:
    """What the table says, without what is to be done."""
    table = frame(running.state, Screen(), running.clock.now(), Size(136, 10)).text
    return [words for _, words in statuses(table)]
