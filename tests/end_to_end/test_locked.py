"""Another process holds the state database and the settings folder: nothing stalls, and nothing is lost."""

import asyncio
import time
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest

from monitor.core.commands import UseAccount
from monitor.core.errors import TrackerError
from monitor.core.model import Account
from monitor.demo.server import SimulatedAccount
from monitor.paths import instance_key
from monitor.settings import state_db
from monitor.storage.cache import read
from tests.app.factories import rig
from tests.builders import live, window
from tests.end_to_end.crowd import INTERVAL_SECS, Crowd, crowd, uses
from tests.real.bus import wait_until
from tests.real.pty import Terminal
from tests.storage.factories import (
    HOLD_FOLDER,
    MOST_STALL_SECS,
    Stalls,
    held,
    held_from_a_thread,
    keep_accounts,
)

DUE_SECS = 8.0
"""Until the first account's turn, which comes while all is locked."""

MOST_ANSWER_SECS = 1.0
"""On a machine that is busy; whoever waited for either lock would take longer."""


def keep_polled(many: Crowd, person: SimulatedAccount, due: timedelta) -> None:
    """An earlier process has polled the account, whose next turn is then."""
    now = datetime.now(UTC)
    polled_at = now + due - timedelta(seconds=INTERVAL_SECS)
    known = live(person.email, window("5h", 10), at=polled_at, next_poll_at=now + due)
    account = Account(person.email, person.org_uuid)
    keep_accounts(many.env, many.settings, replace(known, account=account))


def health(port: int) -> tuple[int, float]:
    """The status of `/-/healthy`, and the seconds that it took."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/-/healthy")
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - began


def active(settings: Path) -> int:
    document = tomllib.loads(settings.read_text())
    return int(document["settings"].get("active_account", 0))


def test_polls_probes_and_the_table_of_a_follower_go_on_while_all_is_locked(tmp_path: Path) -> None:
    with crowd(tmp_path, accounts=2) as many:
        first, second = many.api.accounts
        for person in (first, second):
            keep_polled(many, person, timedelta(seconds=DUE_SECS))
        many.serve()
        many.wait_for_leader()
        uses(first, 64)
        table = many.table()
        table.wait_for("attached to")
        table.wait_for(second.email)
        rows = instance_key(many.env, many.settings)
        file = state_db(many.env)
        with held(file), held(many.settings, HOLD_FOLDER):
            assert not many.api.requests_of(first.email)
            screens = watch_until_polled(many, table, first)
            assert len(screens) > 3, "the countdowns tick"
            usage = read(file, rows).accounts[first.email].usage
            assert usage is not None
            assert usage.windows[0].utilization < 0.64
            table.keys("js")  # it waits for the folder, which is free in a moment
            table.read(0.5)
            assert active(many.settings) == 0
        table.wait_for(f"{second.email} is the active account")
        assert active(many.settings) == 1
        wait_until(lambda: utilization(file, rows, first) == 0.64, "the figures on the disk")


async def test_a_change_of_locked_settings_is_made_afterwards_or_refused_and_stalls_nothing(
    tmp_path: Path,
) -> None:
    """Nor do polls and a reload wait for it, while the database is held as well."""
    stalls = Stalls()
    async with rig(tmp_path) as user, user.leader() as leader:
        first, second = (person.email for person in user.people)
        await user.polled()
        watch = asyncio.create_task(stalls.watch())
        async with held_from_a_thread(user.home / "state" / "claude-tracker" / "state.db"):
            async with held_from_a_thread(user.config, HOLD_FOLDER):
                using = asyncio.create_task(leader.execute(UseAccount(second)))
                await user.poll_now(leader)
                await leader.reload()
                assert not using.done()
                assert user.view.state.active == active(user.config) == 0
            assert await using == f"{second} is the active account"
            assert user.view.state.active == active(user.config) == 1
            async with held_from_a_thread(user.config, HOLD_FOLDER):
                with pytest.raises(TrackerError, match="another program keeps it locked"):
                    await leader.execute(UseAccount(first))
                await user.poll_now(leader)
            assert user.view.state.active == active(user.config) == 1
            assert user.requests() == 3
        watch.cancel()
        assert stalls.longest < MOST_STALL_SECS
        assert await leader.execute(UseAccount(first)) == f"{first} is the active account"


def watch_until_polled(many: Crowd, table: Terminal, person: SimulatedAccount) -> set[str]:
    """Look and ask until the table shows what a poll has brought; returns all that was to be seen."""
    screens, end = set[str](), time.monotonic() + INTERVAL_SECS
    while "64%" not in table.screen:
        assert time.monotonic() < end, table.screen
        status, seconds = health(many.port)
        assert status == 200
        assert seconds < MOST_ANSWER_SECS
        table.read(0.2)
        screens.add(table.screen)
    assert many.api.requests_of(person.email)
    return screens


def utilization(file: Path, rows: str, person: SimulatedAccount) -> float | None:
    usage = read(file, rows).accounts[person.email].usage
    return usage.windows[0].utilization if usage else None
