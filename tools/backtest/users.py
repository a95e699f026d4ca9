"""Simulated users, with their parameters in users.toml: what their windows read, by the seed."""

import math
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from monitor.core.profiles import Sample

PARAMETERS: Final = Path(__file__).with_name("users.toml")
START: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
WEEK: Final = timedelta(days=7)
FIVE_HOURS: Final = timedelta(hours=5)
QUARTER: Final = timedelta(minutes=15)
MINUTES_5: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Track:
    """The samples of one window of one account; `levels` are true levels at the same instants, where they are known."""

    name: str
    window: str
    samples: tuple[Sample, ...]
    levels: tuple[float, ...] = ()


def parameters() -> dict[str, Any]:
    return tomllib.loads(PARAMETERS.read_text(encoding="utf-8"))


def week_users(seed: int, count: int | None = None) -> list[Track]:
    """The 7-day windows of simulated users, in hourly samples of whole percents."""
    settings = parameters()["week"]
    kinds = [kind for kind in settings["kinds"] for _ in range(kind["share"])]
    tracks = []
    for user in range(count or settings["users"]):
        rng = Random(f"week {seed} {user}")
        kind = kinds[user % len(kinds)]
        tracks.append(_week_user(f"{kind['name']} {user}", rng, settings, kind))
    return tracks


def _week_user(name: str, rng: Random, settings: dict[str, Any], kind: dict[str, Any]) -> Track:
    drawn = {key: rng.uniform(*value) for key, value in kind.items() if isinstance(value, list)}
    hours = _hour_weights(rng, drawn)
    slows = rng.random() < 0.3  # uses less when little is left
    resets_at = START + timedelta(hours=rng.randrange(168))
    end = START + settings["weeks"] * WEEK
    at, level, cost = START, 0.0, 1.0
    week_factor = day_factor = 1.0
    gap_until = at
    early = None
    samples = []
    rounding = rng.choice((math.floor, round))
    while at < end:
        if at >= resets_at or (early is not None and at >= early):
            resets_at = at + WEEK if early is not None and at >= early else resets_at + WEEK
            level, early = 0.0, None
            if rng.random() < settings["early_reset_chance"]:
                early = at + timedelta(hours=rng.uniform(24, 150))
            if rng.random() < settings["rate_step_chance"]:
                cost *= rng.choice((0.6, 0.75, 1.4, 2.0))
        if at.weekday() == 0 and at.hour == 0 and at.minute == 0:
            week_factor = math.exp(rng.gauss(0, drawn["week_sigma"]))
        if at.hour == 4 and at.minute == 0:
            day_factor = math.exp(rng.gauss(0, drawn["day_sigma"]))
            if rng.random() < drawn["day_off"]:
                day_factor = 0.05
            if at.weekday() >= 5:
                day_factor *= drawn["weekend"]
            if rng.random() < settings["gap_chance"]:
                gap_until = at + timedelta(hours=rng.uniform(2, 14))
        if at.minute == 0 and at >= gap_until:
            samples.append(Sample(at, min(rounding(level), 100) / 100, resets_at))
        mean = drawn["load"] * 100 * cost * week_factor * day_factor * hours[at.hour] / 4
        if slows:
            mean *= 1 - 0.6 * (level / 100) ** 4
        if mean > 0:
            level += rng.gammavariate(mean / drawn["burst_points"], drawn["burst_points"])
        level = min(level, 100.0)
        at += QUARTER
    return Track(name, "7d", tuple(samples))


def _hour_weights(rng: Random, drawn: dict[str, float]) -> list[float]:
    """Shares of a week's use, per hour of a working day (a week without weekend use has five of them)."""
    first, length = round(drawn["first_hour"]), drawn["hours"]
    weights = [0.01] * 24
    for step in range(math.ceil(length)):
        weights[(first + step) % 24] += math.exp(rng.gauss(0, 0.5)) * min(1.0, length - step)
    total = sum(weights) * (5 + 2 * min(drawn["weekend"], 1.5))
    return [weight / total for weight in weights]


def five_hour_users(seed: int, count: int | None = None) -> list[Track]:
    """The 5-hour windows of simulated users, in whole percents every five minutes."""
    settings = parameters()["five_hours"]
    return [
        _five_hour_user(f"five {user}", Random(f"five {seed} {user}"), settings)
        for user in range(count or settings["users"])
    ]


def _five_hour_user(name: str, rng: Random, settings: dict[str, Any]) -> Track:
    low, high = settings["points_per_hour"]
    rate = math.exp(rng.uniform(math.log(low), math.log(high)))
    drawn = {key: rng.uniform(*value) for key, value in settings.items() if isinstance(value, list)}
    resets_at: datetime | None = None
    level = 0.0
    samples, levels = [], []
    for day in range(settings["days"]):
        midnight = START + timedelta(days=day)
        work = _sessions(rng, day, drawn)
        gap = rng.uniform(0, 24) if rng.random() < settings["gap_chance"] else 99.0
        gap_length = rng.uniform(0.5, 4)
        for step in range(288):
            at = midnight + step * MINUTES_5
            if resets_at is not None and at >= resets_at:
                resets_at, level = None, 0.0
            if not gap <= step / 12 < gap + gap_length:
                samples.append(Sample(at, math.floor(level) / 100, resets_at))
                levels.append(level)
            pace = next((p for start, stop, p in work if start <= step / 12 < stop), 0.0) * rate
            use = rng.gammavariate(1.0, pace / 12) if pace else 0.0
            if use and resets_at is None:
                resets_at = at.replace(minute=at.minute // 10 * 10) + FIVE_HOURS
            level = min(level + use, 100.0)
    return Track(name, "5h", tuple(samples), tuple(levels))


def _sessions(rng: Random, day: int, drawn: dict[str, float]) -> list[tuple[float, float, float]]:
    """(first hour, last hour, factor on the rate) of each session of a day."""
    if rng.random() < drawn["day_off"] or (day % 7 >= 5 and rng.random() > drawn["weekend"]):
        return []
    at = drawn["first_hour"] + rng.gauss(0, 0.7)
    end = min(at + drawn["hours"] * rng.uniform(0.6, 1.1), 24)
    sessions = []
    while at < end:
        stop = at + rng.expovariate(1 / drawn["session_hours"])
        sessions.append((at, min(stop, 24), math.exp(rng.gauss(0, drawn["session_sigma"]))))
        at = stop + rng.expovariate(1 / drawn["pause_hours"])
    return sessions
