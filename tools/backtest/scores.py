"""Figures of a set of looks."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from statistics import median
from typing import Any

from tools.backtest.looks import Outcome


def error_minutes(outcome: Outcome, name: str) -> float:
    """The error of the time, both times censored at the reset."""
    actual = outcome.full_at or outcome.resets_at
    said = min(outcome.answers[name].full_at, outcome.resets_at)
    return abs((said - actual).total_seconds()) / 60


def figures(outcomes: Sequence[Outcome], name: str) -> dict[str, Any]:
    ran_out = [o.full_at is not None for o in outcomes]
    said = [o.answers[name].probability for o in outcomes]
    errors = [error_minutes(o, name) for o in outcomes]
    when_full = [e for e, full in zip(errors, ran_out, strict=True) if full]
    return {
        "looks": len(outcomes),
        "false": sum(p >= 0.5 and not full for p, full in zip(said, ran_out, strict=True)),
        "missed": sum(p < 0.5 and full for p, full in zip(said, ran_out, strict=True)),
        "median_error_minutes": round(median(errors)) if errors else None,
        "median_error_when_full_minutes": round(median(when_full)) if when_full else None,
        "brier": round(mean([(p - full) ** 2 for p, full in zip(said, ran_out, strict=True)]), 4),
        "flips": flips(outcomes, name),
    }


def flips(outcomes: Sequence[Outcome], name: str) -> int:
    """How often the answer turned from one look to the next of the same period."""
    turned = 0
    for before, after in zip(outcomes, outcomes[1:]):
        if before.group == after.group:
            turned += (before.answers[name].probability >= 0.5) != (
                after.answers[name].probability >= 0.5
            )
    return turned


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def coverage(outcomes: Sequence[Outcome]) -> float:
    return mean([o.finished.covered for o in outcomes])


def width_hours(outcomes: Sequence[Outcome]) -> float:
    """The median width of the 80 % interval."""
    return median([(o.interval[1] - o.interval[0]).total_seconds() / 3600 for o in outcomes])
