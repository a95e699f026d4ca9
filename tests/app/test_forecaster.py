"""Forecasts of a running program: computed when a sample comes, from the kept history, and dispatched to the state."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta

import pytest

from monitor.app.forecaster import LOOK_SECS, MANY, POOL_EVERY, Forecaster
from monitor.app.past_samples import History
from monitor.core.events import AccountsLoaded, PollSucceeded, Ticked
from monitor.core.model import Account, AccountForecast
from monitor.core.state import State
from monitor.storage import cache, samples
from monitor.storage.recorder import Database
from monitor.storage.samples import StoredSample
from monitor.store import Store
from tests.builders import NOW, usage, window
from tests.fakes import FakeClock, inline_database

WEEK_ENDS = timedelta(days=3)


def work_week(pace: float) -> Sequence[StoredSample]:
    """Four weeks of hourly samples of the 7d window, used evenly from 9 to 17 o'clock, at so many points a week."""
    ends = NOW + WEEK_ENDS - timedelta(days=28)
    found, used = [], 0.0
    for hour in range(28 * 24 - int(WEEK_ENDS / timedelta(hours=1))):
        at = NOW + WEEK_ENDS - timedelta(days=28) + timedelta(hours=hour)
        if at >= ends:
            ends, used = ends + timedelta(days=7), 0.0
        used += pace / 56 / 100 if 9 <= at.hour < 17 else 0.0
        found.append(StoredSample(at, "a", "7d", min(used, 1.0), ends))
    return found


class Past(History):
    """The history in a database, and what another program has kept."""

    def __init__(self, *kept: StoredSample, elsewhere: Sequence[StoredSample] = ()) -> None:
        self.database: Database = inline_database()
        super().__init__(self.database, "", lambda *_: elsewhere)
        self.kept = kept

    async def keep(self, *rows: StoredSample) -> None:
        await self.database.write(lambda d: samples.insert_many(d, "", rows), within=1)

    async def note_import(self) -> None:
        await self.database.write(lambda d: cache.put_import(d, "", "a file"), within=1)


class Running:
    """A forecaster over a history, of one account that is polled once."""

    def __init__(self, history: Past, percent: float) -> None:
        self.history = history
        self.percent = percent
        self.clock = FakeClock(NOW)
        self.store = Store(State())

    async def __aenter__(self) -> "Running":
        await self.history.keep(*self.history.kept)
        self.store.dispatch(AccountsLoaded(NOW, (Account("a", "org-a"),)))
        forecaster = Forecaster(self.store, self.clock, self.history, UTC)
        self.task = asyncio.create_task(forecaster.run())
        seen = usage(window("7d", self.percent, WEEK_ENDS))
        self.store.dispatch(PollSucceeded(NOW, "a", seen, WEEK_ENDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()

    async def forecast(self, *, knows: bool = False) -> AccountForecast:
        """The forecast, once there is one, or one that `knows` of a window."""
        async with asyncio.timeout(10):
            while (found := self.store.state.accounts["a"].forecast) is None or (
                knows and not found.windows
            ):
                await self.store.wait_for_change()
        return found


async def forecast_of(history: Past, percent: float) -> AccountForecast:
    async with Running(history, percent) as running:
        return await running.forecast()


async def test_a_week_that_is_used_too_fast_is_said_to_run_out() -> None:
    week = work_week(150)
    found = (await forecast_of(Past(*week), week[-1].utilization * 100)).windows["7d"]
    assert found.run_out_probability > 0.8
    assert found.full_at is not None
    assert NOW < found.full_at.p10 < found.full_at.p50 <= found.full_at.p90 <= NOW + WEEK_ENDS


async def test_the_trend_has_the_highest_level_of_each_slice_of_the_last_week() -> None:
    week = work_week(150)
    found = (await forecast_of(Past(*week), week[-1].utilization * 100)).trends["7d"]
    assert len(found) == 24
    known = [level for level in found if level is not None]
    assert max(known) == 1.0, "of the last period, which ran out"
    assert found[-1] == round(week[-1].utilization, 3)


async def test_a_week_that_is_used_slowly_is_said_to_last() -> None:
    week = work_week(40)
    found = (await forecast_of(Past(*week), week[-1].utilization * 100)).windows["7d"]
    assert found.run_out_probability < 0.2
    assert found.full_at is None


async def test_without_a_history_it_is_too_early_to_say() -> None:
    assert (await forecast_of(Past(), 50)).windows == {}


async def test_what_was_taken_over_from_elsewhere_is_learned_from_at_once() -> None:
    week = work_week(150)
    found = await forecast_of(Past(elsewhere=week), week[-1].utilization * 100)
    assert found.windows["7d"].run_out_probability > 0.8


async def test_what_another_process_imports_is_learned_from_without_a_new_sample() -> None:
    week = work_week(150)
    async with Running(Past(), week[-1].utilization * 100) as running:
        assert (await running.forecast()).windows == {}
        await running.history.keep(*week)
        await running.history.note_import()
        await running.clock.advance(LOOK_SECS)
        running.store.dispatch(Ticked(running.clock.now()))
        found = await running.forecast(knows=True)
    assert found.windows["7d"].run_out_probability > 0.8


def work_days(name: str) -> Sequence[StoredSample]:
    """Four days of a 5h window that is used to a half in each five hours."""
    hours = [(NOW - timedelta(hours=96 - hour), hour % 5) for hour in range(96)]
    return [
        StoredSample(at, name, "5h", 0.1 * step, at + timedelta(hours=5 - step))
        for at, step in hours
    ]


@pytest.mark.parametrize(("count", "waits"), [(2, False), (MANY, True)])
async def test_many_accounts_are_forecast_together_once_a_minute(count: int, waits: bool) -> None:
    names = [f"a{number}" for number in range(count)]
    past, clock, store = Past(), FakeClock(NOW), Store(State())
    store.dispatch(AccountsLoaded(NOW, tuple(Account(name, f"org-{name}") for name in names)))
    forecaster = Forecaster(store, clock, past, UTC)

    async def poll(*polled: str) -> None:
        ends_in = timedelta(hours=4)
        seen = usage(window("5h", 10, ends_in), at=clock.now())
        for name in polled:
            store.dispatch(PollSucceeded(clock.now(), name, seen, ends_in))
        assert await forecaster.catch_up()

    for name in names:
        await past.keep(*work_days(name))
    await poll(*names)
    first = store.state.pool
    assert first is not None
    assert first.free[0].likely == count

    await clock.advance(POOL_EVERY.total_seconds() / 2)
    await poll(names[0])
    assert (store.state.pool is first) == waits
    await clock.advance(POOL_EVERY.total_seconds() / 2)
    await poll(names[1])
    assert store.state.pool is not None
    assert store.state.pool.at == clock.now()
