"""Computes each account's forecast anew whenever a sample of it comes, in a thread beside the loop.

What is slow, learning the account's habits from its history, is done once a day for each window; the forecast itself
takes milliseconds. Where no history is kept, what this process has seen itself is all there is.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from monitor.app.past_samples import History
from monitor.core import forecast, profiles
from monitor.core.events import Forecasted
from monitor.core.exhaustion import RECENT, PoolForecast, forecast_pool
from monitor.core.model import (
    FIVE_HOURS,
    SEVEN_DAYS,
    AccountForecast,
    AccountState,
    Usage,
    window_duration,
)
from monitor.core.planning import LONGEST_PLAN
from monitor.core.profiles import HOUR, SLOT, Activity, Profile, Sample
from monitor.core.ranking import all_limits, choose
from monitor.core.state import State, changed_accounts
from monitor.core.window_cost import PIECE, Reading, WeekCost, learn_cost
from monitor.storage.db import StorageError
from monitor.store import Store
from monitor.system.aio import Daemon
from monitor.system.clock import Clock

LEARNED_FROM: Final = timedelta(days=90)
"""The profile forgets half of what it knows in four weeks: what is older hardly counts."""

LEARN_EVERY: Final = timedelta(days=1)
REMEMBERED: Final = timedelta(days=14)
"""A forecast looks at two periods of its window."""

MOST_SAMPLES: Final = 2000
IN_FULL: Final = timedelta(hours=10)
HOURS_AHEAD: Final = LONGEST_PLAN // HOUR
TREND_SLICES: Final = 24
MANY: Final = 100
GATHER_SECS: Final = 1.0
"""With so many accounts the samples of a second are forecast together."""

POOL_EVERY: Final = timedelta(minutes=1)
"""The least time between two forecasts of all accounts together, where there are so many."""

AHEAD_SECS: Final = 10.0
"""Limit of all forecasts of a command, which learns of each account anew."""

LOOK_SECS: Final = 5.0
"""The least time between two looks for an import, which another process may have done."""


_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class WindowModel:
    """One window's samples of two weeks, and the habits learned of it."""

    duration: timedelta
    samples: list[Sample] = field(default_factory=list)
    learned: Profile | Activity | None = None
    calibration: float = 1.0

    def add(self, sample: Sample) -> None:
        """Add a newer sample, and thin out older ones now and then."""
        while self.samples and self.samples[-1].at > sample.at:  # of a clock that was ahead
            self.samples.pop()
        if self.samples and self.samples[-1].at == sample.at:
            return
        self.samples.append(sample)
        is_old = sample.at - self.samples[0].at > REMEMBERED + timedelta(days=1)
        if is_old or len(self.samples) > MOST_SAMPLES:
            self.samples = thin(self.samples)

    def trend(self, now: datetime) -> tuple[float | None, ...]:
        """Find the highest utilization in each slice of the last length of the window."""
        since, length = now - self.duration, self.duration / TREND_SLICES
        found = profiles.slices(self.samples, since, length, TREND_SLICES, now)
        return tuple(None if one is None else round(one.high, 3) for one in found)


def thin(samples: Sequence[Sample]) -> list[Sample]:
    """Keep two weeks of samples: all of the last hours, and the last of each half hour before, or before a reset."""
    now = samples[-1].at
    kept = []
    for sample, following in pairwise(samples):
        if now - sample.at > REMEMBERED:
            continue
        in_full = now - sample.at <= IN_FULL or following.utilization < sample.utilization
        if in_full or sample.at.timestamp() // 1800 != following.at.timestamp() // 1800:
            kept.append(sample)
    return [*kept, samples[-1]]


@dataclass(slots=True, eq=False)
class AccountModel:
    """All that was learned of one account; made anew where its name comes to stand for other limits.

    `used_since` are the points of the 5-hour window since the cost was learned; `seen_at` is the sample that was
    forecast last, and `filled_org` the organization of which other programs' samples were taken over.
    """

    org_id: str
    tz: tzinfo | None = None
    windows: dict[str, WindowModel] = field(default_factory=dict)
    cost: WeekCost | None = None
    learned_at: datetime | None = None
    used_since: float = 0.0
    seen_at: datetime | None = None
    filled_org: str = ""

    def observe(self, usage: Usage) -> None:
        """Add the newest sample of each window that has a length."""
        for window in usage.windows:
            duration = window_duration(window.key)
            if duration is None or math.isnan(window.utilization):
                continue
            model = self.windows.setdefault(window.key, WindowModel(duration))
            before = model.samples[-1].utilization if model.samples else window.utilization
            model.add(Sample(usage.at, window.utilization, window.resets_at))
            if window.key == FIVE_HOURS:
                self.used_since += abs(window.utilization - before) * 100

    def learn(self, history: Mapping[str, Sequence[Sample]], now: datetime) -> None:
        """Learn the habits, and the cost of a full window, from the history; where it has none, from own samples."""
        for key, samples in history.items():
            duration = window_duration(key)
            if duration is not None and samples:
                model = self.windows.setdefault(key, WindowModel(duration))
                newer = [s for s in model.samples if s.at > samples[-1].at]
                model.samples = [*thin(samples), *newer]
        for key, model in self.windows.items():
            known = history.get(key) or model.samples
            model.learned = profiles.learn(known, now, model.duration, self.tz)
        self.learn_cost(history)
        self.learned_at = now

    def learn_cost(self, history: Mapping[str, Sequence[Sample]]) -> None:
        """Learn what a full 5-hour window costs of the week."""
        five, week = (
            history.get(key) or (self.windows[key].samples if key in self.windows else ())
            for key in (FIVE_HOURS, SEVEN_DAYS)
        )
        weeks = {sample.at: sample for sample in week}
        pairs = ((sample, weeks[sample.at]) for sample in five if sample.at in weeks)
        self.cost = learn_cost(
            Reading(s.at, s.utilization, w.utilization, s.resets_at, w.resets_at) for s, w in pairs
        )
        self.used_since = 0.0

    def calibrate(self, history: Mapping[str, Sequence[Sample]], now: datetime) -> None:
        """Calibrate the next forecasts by how past ones would have ended."""
        for key, model in self.windows.items():
            known = history.get(key) or model.samples
            model.calibration = forecast.calibration(known, now, model.duration, self.tz)

    def forecast(self, now: datetime, at: datetime) -> AccountForecast:
        """Forecast the account after the sample of `at`, the newest one."""
        change = self.cost.change if self.cost else None
        found = {}
        for key, model in self.windows.items():
            if model.learned is not None and model.samples and model.samples[-1].at >= at:
                stepped = None if key == FIVE_HOURS else change
                known = model.samples, now, model.duration, model.learned, model.calibration
                if (one := forecast.forecast(*known, stepped)) is not None:
                    found[key] = one
        week = found.get(SEVEN_DAYS)
        five = self.windows.get(FIVE_HOURS)
        activity = five.learned if five else None
        pace, hourly = None, tuple[float, ...]()
        if isinstance(activity, Activity) and activity.observed >= forecast.KNOWN_AFTER:
            pace = round(activity.points_per_hour, 2)
            hourly = hourly_use(activity, now, self.is_active(now))
        return AccountForecast(
            at,
            found,
            self.cost,
            week.distribution.expiring / 100 if week and week.distribution else None,
            pace,
            hourly,
            {key: model.trend(now) for key, model in self.windows.items() if model.samples},
        )

    def is_active(self, now: datetime) -> bool:
        """Return whether the 5-hour window was used within the last half hour."""
        five = self.windows.get(FIVE_HOURS)
        return five is not None and profiles.is_active(five.samples, now)

    def use_by_slot(self, since: datetime) -> dict[int, float]:
        """Sum up the points used of the 5-hour window in each half hour since then."""
        five = self.windows.get(FIVE_HOURS)
        slots: dict[int, float] = {}
        for before, after in pairwise(five.samples if five else ()):
            if after.at > since:
                slot = int(after.at.timestamp() // 1800)
                rise = max(after.utilization - before.utilization, 0.0) * 100
                slots[slot] = slots.get(slot, 0.0) + rise
        return slots


def hourly_use(activity: Activity, now: datetime, active: bool) -> tuple[float, ...]:
    """Forecast the points of the 5-hour window that are used in each of the coming hours."""
    hours = [0.0] * HOURS_AHEAD
    for done, points in activity.steps(now, now + HOURS_AHEAD * HOUR, active):
        hours[min(int(done - 1e-9), HOURS_AHEAD - 1)] += points
    return tuple(round(points, 2) for points in hours)


async def look_ahead(store: Store, clock: Clock, history: History) -> None:
    """Forecast all accounts once, for a command, as far as there is time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(AHEAD_SECS):
            await Forecaster(store, clock, history).catch_up()


class Forecaster:
    """Forecasts for as long as `run` does; `tz` is the user's time zone, None the machine's."""

    def __init__(
        self, store: Store, clock: Clock, history: History, tz: tzinfo | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._history = history
        self._tz = tz
        self._seen = State()
        self._models: dict[str, AccountModel] = {}
        self._uncalibrated = deque[tuple[str, AccountModel]]()
        self._demand: Activity | None = None
        self._demand_at: datetime | None = None
        self._pool_at: datetime | None = None
        self._imported: str | None = None
        self._looked_at = -math.inf

    async def run(self) -> None:
        """Forecast each account that has a new sample, until cancelled; calibrate while there is none."""
        while True:
            await self._look_for_imports()
            if await self.catch_up():
                continue
            if self._uncalibrated:
                await self._calibrate(*self._uncalibrated.popleft())
                continue
            state = await self._store.wait_for_change()
            if len(state.accounts) >= MANY:
                await self._clock.sleep(GATHER_SECS)

    async def catch_up(self) -> bool:
        """Forecast each account that has a new sample; return whether any had."""
        before, self._seen = self._seen, self._store.state
        news = [
            (account, usage)
            for name in changed_accounts(before, self._seen)
            if (usage := (account := self._seen.accounts[name]).usage)
            and ((model := self._models.get(name)) is None or model.seen_at != usage.at)
        ]
        for account, usage in sorted(news, key=self._order):
            await self._forecast(account, usage)
        return bool(news)

    def _order(self, news: tuple[AccountState, Usage]) -> tuple[bool, float]:
        """Sort accounts that are yet to be learned last, which takes a while; of these, the oldest forecast first."""
        account, known = news[0], news[0].forecast
        return account.account.name not in self._models, known.at.timestamp() if known else 0.0

    async def _look_for_imports(self) -> None:
        """Learn all accounts again where samples were imported since the last look."""
        if self._clock.monotonic() - self._looked_at < LOOK_SECS:
            return
        self._looked_at = self._clock.monotonic()
        before = self._imported
        try:
            self._imported = await self._history.last_import()
        except StorageError:  # which the recorder reports
            return
        if before in (None, self._imported):
            return
        self._seen = State()
        for model in self._models.values():
            model.learned_at = model.seen_at = None
        self._demand_at = None

    async def _forecast(self, account: AccountState, usage: Usage) -> None:
        name, state, now = account.account.name, self._store.state, self._clock.now()
        for gone in self._models.keys() - state.accounts.keys():
            del self._models[gone]
        model = self._models.get(name)
        if model is None or not account.account.has_limits_of(model.org_id):
            model = self._models[name] = AccountModel(account.account.org_id, self._tz)
        model.seen_at = usage.at
        if await self._fill(model, name, account.org_id, now):
            model.learned_at = None
        model.observe(usage)
        learns = model.learned_at is None or now - model.learned_at >= LEARN_EVERY
        learns_cost = model.used_since >= PIECE
        kept = await self._read_history(name, now) if learns or learns_cost else {}

        def compute() -> tuple[AccountForecast, PoolForecast | None]:
            if learns:
                model.learn(kept, now)
            elif learns_cost:
                model.learn_cost(kept)
            return model.forecast(now, usage.at), self._pool(state, now)

        found, pool = await Daemon(compute).future
        if learns:
            self._uncalibrated.append((name, model))
        known = self._store.state.accounts.get(name)
        if known is not None and known.org_id == account.org_id:
            self._store.dispatch(Forecasted(self._clock.now(), name, found, pool))

    async def _fill(self, model: AccountModel, name: str, org_id: str, now: datetime) -> bool:
        """Take over what other programs have kept, once the organization is known; return whether that was anything."""
        if org_id in ("", model.filled_org) or not self._store.state.policy.keeps_history:
            return False
        model.filled_org = org_id
        return await self._history.fill(name, org_id, now) > 0

    async def _read_history(self, name: str, now: datetime) -> Mapping[str, Sequence[Sample]]:
        try:
            return await self._history.read(name, now - LEARNED_FROM, now)
        except StorageError as error:
            _log.debug("nothing is learned from the history: %s", error)
            return {}

    async def _calibrate(self, name: str, model: AccountModel) -> None:
        now = self._clock.now()
        kept = await self._read_history(name, now)
        await Daemon(lambda: model.calibrate(kept, now)).future

    def _pool(self, state: State, now: datetime) -> PoolForecast | None:
        """Forecast the accounts that can be used together; None for a single one, or while too little is known."""
        age = now - (self._pool_at or datetime.min.replace(tzinfo=UTC))
        if len(state.accounts) >= MANY and timedelta(0) <= age < POOL_EVERY:
            return state.pool
        if any(a.usage and name not in self._models for name, a in state.accounts.items()):
            return None
        limits = all_limits(state, now)
        models = {one.name: self._models[one.name] for one in limits if one.name in self._models}
        if len(limits) < 2 or len(models) < len(limits):
            return None
        self._pool_at = now
        weights = {one.name: one.plan_weight for one in limits}
        if self._demand is None or self._demand_at is None or now - self._demand_at >= LEARN_EVERY:
            fives = {n: m.windows[FIVE_HOURS] for n, m in models.items() if FIVE_HOURS in m.windows}
            samples = {name: five.samples for name, five in fives.items()}
            self._demand = profiles.learn_demand(samples, weights, self._tz, now)
            self._demand_at = now
        if self._demand.observed < forecast.KNOWN_AFTER:
            self._demand_at = None
            return None
        slots: dict[int, float] = {}
        for name, model in models.items():
            for slot, points in model.use_by_slot(now - RECENT).items():
                slots[slot] = slots.get(slot, 0.0) + points * weights[name]
        hours = sum(SLOT / HOUR for points in slots.values() if points > 0.5)
        recent = sum(slots.values()), hours * self._demand.points_per_hour
        is_active = any(model.is_active(now) for model in models.values())
        # In the order in which they will be used.
        places = {one.account: place for place, one in enumerate(choose(state, now).ranking)}
        limits.sort(key=lambda one: places[one.name])
        return forecast_pool(limits, now, self._demand, is_active, recent, state.pool)
