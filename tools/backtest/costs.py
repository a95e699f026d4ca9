"""Does a change of the limit show, and nothing else? Simulated accounts, read in whole percents and with gaps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from monitor.core.window_cost import Reading, learn_cost

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
FIVE_HOURS: Final = timedelta(hours=5)
WEEK: Final = timedelta(days=7)
EVERY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Metered:
    """The readings of an account, and 5-hour points used since the rate stepped, at each; negative before that."""

    readings: list[Reading]
    since_step: list[float]


def metered(rng: Random, weeks: int, factor: float = 1.0, step_after: float = 600.0) -> Metered:
    """An account whose week's cost is multiplied by `factor` once it used so many points of 5-hour windows."""
    cost = rng.uniform(0.09, 0.2)
    mix = 0.0
    five, week = 0.0, 0.0
    week_resets_at = START + timedelta(hours=rng.randrange(1, 168))
    five_resets_at: datetime | None = None
    total, at = 0.0, START
    readings, since = [], []
    rate = 0.0
    gap_until = at
    while at < START + weeks * WEEK:
        if five_resets_at is not None and at >= five_resets_at:
            five, five_resets_at = 0.0, None
        if at >= week_resets_at:
            week, week_resets_at = 0.0, week_resets_at + WEEK
        is_day = 8 <= at.hour < 22
        if at.minute == 0:
            rate = rng.choice((0.0, 0.0, 1.0)) * rng.uniform(10, 70) if is_day else 0.0
            mix = 0.8 * mix + 0.6 * rng.gauss(0, 0.025)
            if rng.random() < 0.03:
                gap_until = at + timedelta(hours=rng.uniform(0.5, 8))
        use = min(rate / 6 * rng.uniform(0.3, 1.7), 100 - five)
        points = cost * (factor if total >= step_after else 1.0) * math.exp(mix)
        if use > 0 and week + use * points < 100:
            five_resets_at = five_resets_at or at.replace(minute=at.minute // 10 * 10) + FIVE_HOURS
            five, week, total = five + use, week + use * points, total + use
        at += EVERY
        if at >= gap_until and (rate > 0 or at.minute == 0):
            readings.append(
                Reading(
                    at,
                    math.floor(five) / 100,
                    math.floor(week) / 100,
                    five_resets_at,
                    week_resets_at,
                )
            )
            since.append(total - step_after)
    return Metered(readings, since)


def false_steps(seed: int, account_weeks: int) -> int:
    """Steps that were told of accounts whose rate never changed."""
    found = 0
    for number in range(account_weeks // 4):
        account = metered(Random(f"steady {seed} {number}"), 4)
        found += learned_change(account.readings)
    return found


def learned_change(readings: list[Reading]) -> bool:
    cost = learn_cost(readings)
    return cost is not None and cost.change is not None


def told_after(seed: int, accounts: int, factor: float) -> Iterator[float | None]:
    """Full windows used between a step and the first reading at which it was told; None where it never was."""
    for number in range(accounts):
        account = metered(Random(f"step {seed} {number}"), 4, factor)
        low = next((i for i, s in enumerate(account.since_step) if s >= 0), None)
        if low is None:
            continue
        high = len(account.readings)
        if not learned_change(account.readings):
            yield None
            continue
        first = low
        while first < high:  # told once, it stays told
            middle = (first + high) // 2
            if learned_change(account.readings[: middle + 1]):
                high = middle
            else:
                first = middle + 1
        yield account.since_step[first] / 100


def report(seed: int, account_weeks: int, accounts: int) -> dict[str, Any]:
    """Print how steps of the exchange rate are told; its part of the document."""
    false = false_steps(seed, account_weeks)
    print(f"\nlimit_changed: {false} false in {account_weeks} account-weeks without a step")
    document: dict[str, Any] = {"account_weeks": account_weeks, "false": false}
    for factor in (2.0, 0.5, 1.25, 0.8, 1.2):
        told = list(told_after(seed, accounts, factor))
        two, four = (
            sum(windows is not None and 0 <= windows <= most for windows in told) for most in (2, 4)
        )
        print(
            f"  × {factor}: of {len(told)} {two} told within two full windows, {four} within four"
        )
        document[f"told_{factor}"] = {
            "steps": len(told),
            "within_two_windows": two,
            "within_four_windows": four,
        }
    return document
