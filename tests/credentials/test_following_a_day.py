"""A day in the life of four folders: Claude Code renews, somebody switches, somebody logs out. Nobody presses a key."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from monitor.app.poller import Poller
from monitor.core.errors import ApiError, Failure, Reason, describe
from monitor.core.model import Account, Credential, Storage, Usage
from monitor.system.clock import ServerClock
from tests.builders import after, window
from tests.credentials.factories import AccountsRig, FakeLogin
from tests.fakes import OwnRequests

LIFE = timedelta(hours=8)

PEOPLE = ANNA, BEN, CLEO, DORA = tuple(
    f"{name}@example.com" for name in ("anna", "ben", "cleo", "dora")
)
LINKED = Storage.LINKED, 5
"""A linked account has no last token to use up: Claude Code's place is all that it has."""


@dataclass
class Tokens:
    """What the API knows: whose a token is, and when it ends; a renewed or logged out one is dead at once."""

    rig: AccountsRig
    ends: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    def new(self, name: str, login: FakeLogin) -> None:
        """A login, or a renewal."""
        self.count += 1
        token, end = f"{name}-{self.count}", self.rig.clock.now() + LIFE
        self.ends[token] = name, end
        self.rig.knows(token, name, org=f"org of {name}")
        login.renews(token, end)
        login.login_expires_at = end + timedelta(days=20)

    def renew(self, name: str, login: FakeLogin) -> None:
        """Claude Code's renewal ends the token that was before."""
        self.ends.pop(login.token or "")
        self.new(name, login)

    async def usage(self, account: Account, credential: Credential) -> Usage:
        token, now = credential.secret.reveal(), self.rig.clock.now()
        name, end = self.ends.get(token, ("nobody", now))
        if name != account.name or end <= now:
            self.wrong.append(f"{now:%H:%M} {account.name} was asked about with {token}")
            raise ApiError(Failure(Reason.AUTH, detail="refused"))
        return Usage(now, (window("7d", 5, timedelta(days=3)),))


def told(rig: AccountsRig, name: str) -> str:
    """What the table says of the account."""
    down = rig.store.state.accounts[name].down
    return f"{down.failure.reason}: {describe(down.failure)}" if down else "up"


class Day:
    """Four people's folders and a setup-token, followed and polled from midnight on."""

    def __init__(self, storage: Storage | None) -> None:
        self.rig = rig = AccountsRig()
        rig.prefers(storage)
        self.tokens = Tokens(rig)
        self.anna, self.ben, self.cleo, self.dora = (
            FakeLogin(folder=f"/{name}") for name in ("anna", "ben", "cleo", "dora")
        )
        setup = FakeLogin("setup", "/ci", after(days=300), scopes=("user:inference",))
        rig.logins = [self.anna, self.ben, self.cleo, self.dora, setup]
        for name, login in zip(PEOPLE, rig.logins, strict=False):
            self.tokens.new(name, login)
        self.hourly: dict[str, list[str]] = {name: [] for name in PEOPLE}

    async def live(self, steps: Mapping[float, Callable[[], None]]) -> None:
        """24 hours, in which this happens at these hours."""
        rig = self.rig
        await rig.book.import_all(rig.logins)
        poller = Poller(
            rig.store,
            ServerClock(rig.clock),
            rig.credentials,
            self.tokens,
            lambda: 0.5,
            OwnRequests(),
        )
        running = [asyncio.create_task(part) for part in (poller.run(), rig.watcher.run())]
        for quarter in range(24 * 4):
            steps.get(quarter / 4, lambda: None)()
            await rig.clock.advance(15 * 60, tick=15)
            if quarter % 4 == 2:  # at a quarter to each hour, far from what happens at full ones
                for name, log in self.hourly.items():
                    log.append(told(rig, name))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def logs_in_elsewhere(self, name: str) -> None:
        new = FakeLogin(folder="/new")
        self.tokens.new(name, new)
        self.rig.logins.append(new)


@pytest.mark.parametrize(("storage", "dora_is_blind"), [(None, 8), LINKED])
async def test_a_day_without_a_key_press(storage: Storage | None, dora_is_blind: int) -> None:
    day = Day(storage)
    tokens = day.tokens
    await day.live(
        {
            # Anna works all day; once her token is renewed a little late.
            7: lambda: tokens.renew(ANNA, day.anna),
            15.25: lambda: tokens.renew(ANNA, day.anna),
            22: lambda: tokens.renew(ANNA, day.anna),
            # Ben's folder is switched to Cleo's login, who works there from now on; he has a new one at noon.
            3: lambda: tokens.new(CLEO, day.ben),
            10: lambda: tokens.renew(CLEO, day.ben),
            12: lambda: day.logs_in_elsewhere(BEN),
            17: lambda: tokens.renew(CLEO, day.ben),
            # Dora logs out, and in again in the evening.
            5: day.dora.log_out,
            20: lambda: tokens.new(DORA, day.dora),
        }
    )
    assert tokens.wrong == [], "no account is ever polled with a dead token, or with another's"
    assert day.rig.names == list(PEOPLE), "no account is doubled, and no setup-token is one"
    assert day.hourly[ANNA] == ["up"] * 24
    assert day.hourly[CLEO] == ["up"] * 24
    assert day.hourly[BEN] == hours(
        (8, "up"),
        (12, "auth: logged out: run `claude` and use /login"),
        (20, "up"),
        (24, "auth: waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/new claude`"),
    )
    assert day.hourly[DORA] == hours(
        (dora_is_blind, "up"),
        (20, "auth: logged out: run `CLAUDE_CONFIG_DIR=/dora claude` and use /login"),
        (24, "up"),
    )


def hours(*parts: tuple[int, str]) -> list[str]:
    """What the table says until each of these hours."""
    said: list[str] = []
    for end, words in parts:
        said += [words] * (end - len(said))
    return said
