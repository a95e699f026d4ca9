"""Choose the parameters of the forecasts on simulated users alone: `python -m tools.backtest.tune week 101`.

Coordinate search: each parameter in turn, one run of all looks per value. The loss is the Brier score and the pinball
loss of the 10, 50 and 90 % times. Seeds of 100 and more are for this; the backtest's own seed is 1.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from monitor.core import profiles
from tools.backtest import scores
from tools.backtest.looks import Rhythm, looks
from tools.backtest.users import FIVE_HOURS, WEEK, Track, five_hour_users, week_users

HOUR: Final = timedelta(hours=1)

WEEKLY: Final[Mapping[str, Sequence[float]]] = {
    "burst_days": (3, 6, 10, 20),
    "burst_factor": (0.8, 1.1, 1.5),
    "pace_points": (0.4, 0.6, 0.9, 1.3),
    "pace_shape": (3, 4, 6, 9),
    "pace_half_life_days": (1, 1.5, 2, 3, 6),
    "burst": (6, 9, 13),
    "half_life_days": (18, 28, 45),
    "hour_shrink": (1, 2, 4),
    "weekend": (0.5, 0.7),
    "weekend_shrink": (15, 40, 80),
    "weekday_shrink": (60, 150, 300),
}
FIVE_HOURLY: Final[Mapping[str, Sequence[float]]] = {
    "burst": (9, 13, 18, 24),
    "pace_points": (0.4, 0.8, 1.2),
    "pace_shape": (2, 4, 7),
    "hour_shrink": (2, 4, 8),
    "half_life_days": (28, 60),
    "weekend": (0.5, 0.7),
}


def loss(
    tracks: Sequence[Track], duration: timedelta, rhythm: Rhythm, tuning: profiles.Tuning
) -> float:
    found = [o for track in tracks for o in looks(track, duration, rhythm, {}, tuning=tuning)]
    pinball = 0.0
    for outcome in found:
        actual = outcome.full_at or outcome.resets_at
        times = (outcome.interval[0], outcome.answers["ours"].full_at, outcome.interval[1])
        for level, said in zip((0.1, 0.5, 0.9), times, strict=True):
            late = (actual - min(said, outcome.resets_at)) / duration
            pinball += max(level * late, (level - 1) * late) / 3
    return scores.brier(found, "ours") / 2 + 1.5 * pinball / len(found)


def main() -> int:
    kind, seed = sys.argv[1], int(sys.argv[2])
    if kind == "week":
        tracks, duration, grid, best = week_users(seed), WEEK, WEEKLY, profiles.WEEKLY
        rhythm = Rhythm(12 * HOUR, 6 * HOUR, timedelta(0))
    else:
        tracks, duration, grid = five_hour_users(seed), FIVE_HOURS, FIVE_HOURLY
        best = profiles.FIVE_HOURLY
        rhythm = Rhythm(HOUR / 2, HOUR / 2, 24 * HOUR)
    lowest = loss(tracks, duration, rhythm, best)
    print(f"{lowest:.5f} {best}")
    for name, values in grid.items():
        for value in values:
            tried = replace(best, **{name: float(value)})
            if (found := loss(tracks, duration, rhythm, tried)) < lowest:
                best, lowest = tried, found
                print(f"{lowest:.5f} {name} = {value}", flush=True)
    print(best)
    return 0


if __name__ == "__main__":
    sys.exit(main())
