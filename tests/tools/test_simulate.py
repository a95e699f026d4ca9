"""A small simulation at each test run; `python -m tools.simulate` is the large one."""

import json
from datetime import datetime

import pytest

from monitor.core.events import Event
from tools.simulate.machine import month
from tools.simulate.record import Told
from tools.simulate.report import judged, merged, render_report
from tools.simulate.subject import Subject

SEEDS = ("1/0", "1/2")
# Months in which a program that forgets when it is killed misses something.
FAULTY_SEEDS = ("forgetful/26", "forgetful/58")
DAYS = 15


class Forgetful(Subject):
    """Loses its memory when it is killed."""

    def kill(self) -> None:
        """Leave behind what there was at first: nothing."""


class Stuttering(Subject):
    """Tells everything twice."""

    def _told(self, event: Event) -> list[tuple[str, Told]]:
        told = super()._told(event)
        return [*told, *told]


class Silent(Subject):
    def _told(self, event: Event) -> list[tuple[str, Told]]:
        super()._told(event)
        return []


class Confused(Subject):
    """Takes each start of the program for a reset."""

    def start(self, at: datetime) -> None:
        super().start(at)
        self._started = True

    def _told(self, event: Event) -> list[tuple[str, Told]]:
        told = super()._told(event)
        if type(event).__name__ == "PollSucceeded" and self._started:
            self._started = False
            return [*told, ("account-0", Told("7d"))]
        return told


def test_ours_tells_the_truth_once_and_the_naive_rule_does_not() -> None:
    report = merged(judged(month(seed, 2, DAYS), seed) for seed in SEEDS)
    assert report.excerpts == []
    assert report.is_clean
    assert report.weeks["told"] >= 5
    assert report.ours.counts["owed"] > 20
    assert report.naive.counts["false"] > 1000
    assert report.rounding.counts["false"] > 20


def test_the_last_line_is_the_contract() -> None:
    report = judged(month("contract", 1, 5), "contract")
    summary = json.loads(render_report(report).splitlines()[-1])
    keys = ["false", "missed", "double", "max_delay_intervals"]
    assert list(summary) == ["account_months", *keys, "weeks", "naive", "naive_rounded"]
    assert list(summary["naive"]) == keys
    assert summary["account_months"] == 1


def test_a_seed_always_gives_the_same_month() -> None:
    assert month("same", 2, 4).logs == month("same", 2, 4).logs


@pytest.mark.parametrize(
    ("program", "fault"),
    [(Stuttering, "double"), (Silent, "missed"), (Confused, "false"), (Forgetful, "missed")],
)
def test_a_program_with_a_fault_is_found_out(program: type[Subject], fault: str) -> None:
    report = merged(judged(month(seed, 1, DAYS, program), seed) for seed in FAULTY_SEEDS)
    assert report.ours.counts[fault] > 0
    assert not report.ours.is_clean
