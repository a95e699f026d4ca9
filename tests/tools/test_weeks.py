"""The judge of what was told of weeks that ended, on planted alerts."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from tools.simulate.record import DAY, HOUR, MINUTE, Entry, Log, Seen, Told
from tools.simulate.truth import Account, Period, Window
from tools.simulate.weeks import judge_weeks

END, NEXT_END = 7 * DAY, 14 * DAY
FINAL = 66.7
"""What the week ended with; answers name it as 66."""

WEEKS = Window(
    "7d",
    7 * DAY,
    [
        Period(0, 0.0, END, False, ((0.0, END),), (0.0, END - HOUR), (62.3, FINAL)),
        Period(1, END, inf, False, ((END, NEXT_END),), (END,), (0.0,)),
    ],
)
OLD = Seen(62.0, END, END, True, 0)
LAGGING = Seen(66.0, END, END, False, 1)
NEW = Seen(0.0, NEXT_END, NEXT_END, True, 1)
TRUE = Told("7d", None, 62.0, END, is_week=True)


def answer(t: float, seen: Seen, off: float = 0.0) -> Entry:
    return Entry(t, t + off, 0, {"7d": seen})


BEFORE = [answer(END - minutes * MINUTE, OLD) for minutes in (90, 80, 70)]
AFTER = [answer(END + minutes * MINUTE, NEW) for minutes in (5, 65, 126, 127)]


def counts(entries: list[Entry], *told: Told) -> dict[str, int]:
    """The judge's counts of a log whose last answer told this."""
    log = Log(entries, weeks=[(len(entries) - 1, alert) for alert in told])
    return dict(+judge_weeks(Account({"7d": WEEKS}, {}), log))


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param([TRUE], {"told": 1, "owed": 1}, id="what was seen last"),
        pytest.param([], {"owed": 1, "missed": 1}, id="nothing"),
        pytest.param([TRUE, TRUE], {"told": 2, "owed": 1, "double": 1}, id="twice"),
        pytest.param(
            [replace(TRUE, percent=66.0)],
            {"told": 1, "owed": 1, "false": 1, "missed": 1},
            id="a figure that no answer named",
        ),
        pytest.param(
            [replace(TRUE, end=END + HOUR)],
            {"told": 1, "owed": 1, "false": 1, "missed": 1},
            id="another end",
        ),
    ],
)
def test_a_week_that_ended(told: list[Told], found: dict[str, int]) -> None:
    assert counts([*BEFORE, *AFTER], *told) == found


@pytest.mark.parametrize(
    ("seen", "off", "is_true"),
    [
        pytest.param(LAGGING, -20.0, True, id="to a clock before the end"),
        pytest.param(LAGGING, 0.0, False, id="to a clock past it"),
        pytest.param(
            replace(LAGGING, percent=65.0), -20.0, False, id="but not with its last figure"
        ),
        pytest.param(replace(LAGGING, honest=True), -20.0, False, id="honestly, of the present"),
    ],
)
def test_a_lagging_server_may_name_the_final_figure(seen: Seen, off: float, is_true: bool) -> None:
    late = answer(END + 10, seen, off)
    told = replace(TRUE, percent=seen.percent)
    assert counts([*BEFORE, late, *AFTER], told).get("false", 0) == (not is_true)


def wrong_end(entry: Entry) -> Entry:
    return replace(entry, seen={"7d": replace(OLD, end=END + 4 * HOUR)})


def closed(entry: Entry) -> Entry:
    return replace(entry, seen={"7d": replace(OLD, end=None)})


@pytest.mark.parametrize("change", [wrong_end, closed])
def test_a_week_that_named_another_end_last_is_not_owed(change: Callable[[Entry], Entry]) -> None:
    assert counts([*BEFORE[:2], change(BEFORE[2]), *AFTER]) == {}


def test_a_week_that_named_another_end_once_is_owed() -> None:
    entries = [BEFORE[0], wrong_end(BEFORE[1]), BEFORE[2], *AFTER]
    assert counts(entries) == {"owed": 1, "missed": 1}
