"""Figures of a set of looks."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any, Final

from monitor.core.forecast import Forecast, is_running_out
from tools.backtest.looks import Outcome

RESAMPLES: Final = 200


def error_minutes(outcome: Outcome, name: str) -> float:
    """The error of the time, both times censored at the reset."""
    actual = outcome.full_at or outcome.resets_at
    said = min(outcome.answers[name].full_at, outcome.resets_at)
    return abs((said - actual).total_seconds()) / 60


def figures(outcomes: Sequence[Outcome], name: str) -> dict[str, Any]:
    """Of one method. `median_error_when_full_minutes` is over the looks of periods that ran out, the other over all."""
    ran_out = [o.full_at is not None for o in outcomes]
    said = [o.answers[name].probability for o in outcomes]
    errors = [error_minutes(o, name) for o in outcomes]
    when_full = [e for e, full in zip(errors, ran_out, strict=True) if full]
    return {
        "looks": len(outcomes),
        "false": sum(p >= 0.5 and not full for p, full in zip(said, ran_out, strict=True)),
        "missed": sum(p < 0.5 and full for p, full in zip(said, ran_out, strict=True)),
        "median_error_minutes": round(median(errors)),
        "median_error_when_full_minutes": round(median(when_full)) if when_full else None,
        "brier": round(brier(outcomes, name), 4),
        "flips": flips(outcomes, name),
    }


def brier(outcomes: Sequence[Outcome], name: str) -> float:
    return mean([(o.answers[name].probability - (o.full_at is not None)) ** 2 for o in outcomes])


def flips(outcomes: Sequence[Outcome], name: str) -> int:
    """How often the answer turned from one look to the next of the same period."""
    return sum(
        (before.answers[name].probability >= 0.5) != (after.answers[name].probability >= 0.5)
        for before, after in pairwise(outcomes)
        if before.group == after.group
    )


def interval(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Coverage and width of the 80 % interval, and the time that a forecast took.

    A window that lasts has no instant to be covered: its share is that of the forecast's probability of lasting that
    lies inside the interval, so that the mean over calibrated forecasts is 0.8.
    """
    widths = [(o.interval[1] - o.interval[0]).total_seconds() / 3600 for o in outcomes]
    spent = sorted(o.milliseconds for o in outcomes)
    return {
        "interval_coverage": round(coverage(outcomes), 4),
        "interval_width_hours": round(median(widths), 1),
        "ms": round(median(spent), 2),
        "ms_p99": round(spent[int(0.99 * (len(spent) - 1))], 2),
    }


def coverage(outcomes: Sequence[Outcome]) -> float:
    return mean([o.finished.covered for o in outcomes])


def bootstrap(outcomes: Sequence[Outcome]) -> dict[str, tuple[float, float]]:
    """Where 95 % of our figures lie, if other periods of the same kind had been looked at: looks are no units."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.group, []).append(outcome)
    names = sorted(groups)
    rng = Random("bootstrap")
    found: dict[str, list[float]] = {"median error, h": [], "brier": [], "interval coverage": []}
    for _ in range(RESAMPLES):
        drawn = [o for name in rng.choices(names, k=len(names)) for o in groups[name]]
        found["median error, h"].append(median(error_minutes(o, "ours") for o in drawn) / 60)
        found["brier"].append(brier(drawn, "ours"))
        found["interval coverage"].append(coverage(drawn))
    return {name: _middle(values) for name, values in found.items()}


def _middle(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    low = ordered[int(0.025 * len(ordered))]
    high = ordered[int(0.975 * len(ordered)) - 1]
    return round(low, 3), round(high, 3)


def reliability(said_and_was: Sequence[tuple[float, bool]]) -> list[dict[str, float]]:
    """By tenths of what was said: the mean of it, and how often it came true."""
    table = []
    for tenth in range(10):
        rows = [(p, was) for p, was in said_and_was if min(int(p * 10), 9) == tenth]
        if rows:
            table.append(
                {
                    "said": round(mean([p for p, _ in rows]), 3),
                    "was": round(mean([float(was) for _, was in rows]), 3),
                    "looks": len(rows),
                }
            )
    return table


def flips_of_alert(outcomes: Sequence[Outcome]) -> int:
    """How often what the alert says turned within a period (see `is_running_out`); the first time is no turn."""
    turned = 0
    before, group, spoke = False, "", False
    for outcome in outcomes:
        if outcome.group != group:
            before, group, spoke = False, outcome.group, False
        said = is_running_out(Forecast(outcome.answers["ours"].probability, None), before)
        turned += said != before and spoke
        before, spoke = said, spoke or said
    return turned


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
