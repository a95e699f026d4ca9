"""Forecasts of a running program: computed when a sample comes, from the kept history, and dispatched to the state."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitor.app.forecaster import LOOK_SECS, Forecaster, History
from monitor.core.events import AccountsLoaded, PollSucceeded, Ticked
from monitor.core.model import Account, AccountForecast
from monitor.core.profiles import Sample
from monitor.core.state import State
from monitor.store import Store
from tests.builders import NOW, usage, window
from tests.fakes import FakeClock

WEEK_ENDS = timedelta(days=3)


def work_week(pace: float) -> Sequence[Sample]:
    """Four weeks of hourly samples of the 7d window, used evenly from 9 to 17 o'clock, at so many points a week."""
    ends = NOW + WEEK_ENDS - timedelta(days=28)
    found, used = [], 0.0
    for hour in range(28 * 24 - int(WEEK_ENDS / timedelta(hours=1))):
        at = NOW + WEEK_ENDS - timedelta(days=28) + timedelta(hours=hour)
        if at >= ends:
            ends, used = ends + timedelta(days=7), 0.0
        used += pace / 56 / 100 if 9 <= at.hour < 17 else 0.0
        found.append(Sample(at, min(used, 1.0), ends))
    return found


@dataclass
class Kept:
    """A history that has these samples, or has them once it is filled."""

    samples: Sequence[Sample]
    is_filled: bool = True
    imports: int = 0

    def read(self, _: str, since: datetime, until: datetime) -> Mapping[str, Sequence[Sample]]:
        return {"7d": [s for s in self.samples if since <= s.at <= until]} if self.is_filled else {}

    def imported(self) -> str:
        return str(self.imports)

    async def fill(self, _account: str, _org_id: str, _now: datetime) -> int:
        before, self.is_filled = self.is_filled, True
        return 0 if before else len(self.samples)


async def forecast_of(history: History, percent: float) -> AccountForecast:
    """What is in the state after one poll of an account."""
    store = Store(State())
    store.dispatch(AccountsLoaded(NOW, (Account("a", "org-a"),)))
    running = asyncio.create_task(Forecaster(store, FakeClock(NOW), history, UTC).run())
    try:
        store.dispatch(PollSucceeded(NOW, "a", usage(window("7d", percent, WEEK_ENDS)), WEEK_ENDS))
        async with asyncio.timeout(10):
            while (found := store.state.accounts["a"].forecast) is None:
                await store.changed()
        return found
    finally:
        running.cancel()


async def test_a_week_that_is_used_too_fast_is_said_to_run_out() -> None:
    samples = work_week(150)
    found = (await forecast_of(Kept(samples), samples[-1].utilization * 100)).windows["7d"]
    assert found.run_out_probability > 0.8
    assert found.full_at is not None
    assert NOW < found.full_at.p10 < found.full_at.p50 <= found.full_at.p90 <= NOW + WEEK_ENDS


async def test_the_trend_has_the_highest_level_of_each_slice_of_the_last_week() -> None:
    samples = work_week(150)
    found = (await forecast_of(Kept(samples), samples[-1].utilization * 100)).trends["7d"]
    assert len(found) == 24
    known = [level for level in found if level is not None]
    assert max(known) == 1.0, "of the last period, which ran out"
    assert found[-1] == round(samples[-1].utilization, 3)


async def test_a_week_that_is_used_slowly_is_said_to_last() -> None:
    samples = work_week(40)
    found = (await forecast_of(Kept(samples), samples[-1].utilization * 100)).windows["7d"]
    assert found.run_out_probability < 0.2
    assert found.full_at is None


async def test_without_a_history_it_is_too_early_to_say() -> None:
    assert (await forecast_of(Kept([]), 50)).windows == {}


async def test_what_was_taken_over_from_elsewhere_is_learned_from_at_once() -> None:
    samples = work_week(150)
    kept = Kept(samples, is_filled=False)
    found = await forecast_of(kept, samples[-1].utilization * 100)
    assert found.windows["7d"].run_out_probability > 0.8


async def test_what_another_process_imports_is_learned_from_without_a_new_sample() -> None:
    samples = work_week(150)
    kept, clock, store = Kept([]), FakeClock(NOW), Store(State())
    store.dispatch(AccountsLoaded(NOW, (Account("a", "org-a"),)))
    running = asyncio.create_task(Forecaster(store, clock, kept, UTC).run())
    try:
        seen = usage(window("7d", samples[-1].utilization * 100, WEEK_ENDS))
        store.dispatch(PollSucceeded(NOW, "a", seen, WEEK_ENDS))
        async with asyncio.timeout(10):
            while (found := store.state.accounts["a"].forecast) is None:
                await store.changed()
            assert found.windows == {}
            kept.samples, kept.imports = samples, 1
            await clock.advance(LOOK_SECS)
            store.dispatch(Ticked(clock.now()))
            while (found := store.state.accounts["a"].forecast) is None or not found.windows:
                await store.changed()
        assert found.windows["7d"].run_out_probability > 0.8
    finally:
        running.cancel()
