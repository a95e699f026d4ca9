"""Figures that Claude Code says of itself: what is news, what is old, and what is left as it is."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.machine import observe
from monitor.core.alerts.rules import RuleBook, WindowMemory
from monitor.core.merge import correct_resets, merge_answer, merge_figures
from monitor.core.model import ExtraUsage, Usage, Window
from tests.builders import NOW, after, before, usage

END = after(hours=3)


def five(percent: float, end: datetime | None = END) -> Window:
    return Window("5h", percent / 100, end)


def week(percent: float) -> Window:
    return Window("7d", percent / 100, after(days=3))


KNOWN = usage(five(40), week(7), at=before(minutes=5))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(five(42), five(42), id="a higher figure is newer"),
        pytest.param(five(40), None, id="the same figure is no news"),
        pytest.param(five(38), None, id="another terminal may know less"),
        pytest.param(five(40 + 1e-9), None, id="a figure may be written in two ways"),
        pytest.param(five(42, END + timedelta(seconds=90)), five(42), id="the end wobbles"),
        pytest.param(five(90, END - timedelta(hours=5)), None, id="a period that is over"),
        pytest.param(five(90, END - timedelta(minutes=3)), None, id="an end that is older"),
        pytest.param(
            five(3, END + timedelta(hours=5)), five(3, END + timedelta(hours=5)), id="a new period"
        ),
        pytest.param(five(0, None), None, id="one that says no end while a window is open"),
    ],
)
def test_a_window_is_merged_with_what_was_known(seen: Window, expected: Window | None) -> None:
    known = merge_figures(KNOWN, usage(seen))
    if expected is None:
        assert known is None
    else:
        assert known == usage(expected, week(7)), "and the other windows stay"


def test_a_window_that_had_ended_opens_anew() -> None:
    ended = usage(five(99, before(minutes=1)), at=before(minutes=9))
    assert merge_figures(ended, usage(five(2))) == usage(five(2))
    assert merge_figures(ended, usage(five(0, None))) == usage(five(0, None))


def test_a_window_that_was_closed_opens() -> None:
    closed = usage(five(0, None), at=before(minutes=9))
    assert merge_figures(closed, usage(five(2))) == usage(five(2))
    assert merge_figures(closed, usage(five(0, None))) is None


def test_what_is_older_than_the_newest_poll_is_ignored() -> None:
    assert merge_figures(KNOWN, usage(five(90), at=before(minutes=6))) is None
    assert merge_figures(KNOWN, usage(five(90), at=before(minutes=5))) is not None


def test_without_any_usage_everything_is_news_but_what_has_ended() -> None:
    seen = usage(five(42), Window("7d", 0.9, before(minutes=1)))
    assert merge_figures(None, seen) == usage(five(42))
    assert merge_figures(None, usage()) is None
    assert merge_figures(None, usage(Window("5h", 0.9, NOW))) is None


def test_a_window_that_was_not_known_is_added() -> None:
    assert merge_figures(usage(week(7), at=before(minutes=5)), usage(five(1))) == usage(
        week(7), five(1)
    )


def test_money_and_locks_stay() -> None:
    money = ExtraUsage(enabled=True)
    locked = Window("5h", 0.4, END, locked_reason="seat_removed")
    known = merge_figures(Usage(before(minutes=5), (locked,), money), usage(five(50)))
    assert known == Usage(NOW, (Window("5h", 0.5, END, locked_reason="seat_removed"),), money)


def remembered(usage: Usage) -> dict[str, WindowMemory]:
    return dict(observe("a", {}, usage, RuleBook())[0])


@pytest.mark.parametrize(
    "window",
    [five(3), five(40), five(3, END - timedelta(hours=1)), five(0, None), five(9, before(hours=1))],
)
def test_a_later_answer_replaces_all_that_was_known(window: Window) -> None:
    money = ExtraUsage(enabled=True)
    answer = Usage(NOW, (window,), money)
    assert merge_answer(KNOWN, answer, remembered(KNOWN)) == answer
    assert merge_answer(None, answer, {}) == answer


def test_an_answer_that_is_not_later_changes_nothing() -> None:
    for at in (before(minutes=5), before(minutes=9)):
        assert merge_answer(KNOWN, usage(five(90), week(90), at=at), remembered(KNOWN)) is None
        assert merge_answer(KNOWN, usage(five(90), at=at), {}) is None


def test_an_answer_that_a_status_line_has_overtaken_tells_of_what_that_left_alone() -> None:
    """The status line spoke of the five hours a moment ago, and of the week never."""
    memories = {**remembered(KNOWN), **remembered(usage(five(50)))}
    known = merge_figures(KNOWN, usage(five(50)))
    answer = usage(five(48), week(3), Window("7d_opus", 0.2), at=before(seconds=10))
    assert merge_answer(known, answer, memories) == usage(five(50), week(3))
    assert merge_answer(usage(five(50), week(3)), answer, memories) is None


ends = st.sampled_from([None, *(END + timedelta(minutes=m) for m in (-400, -300, -1, 0, 1, 300))])
figures = st.builds(Window, st.sampled_from(["5h", "7d"]), st.floats(0, 1.2), ends)
usages = st.builds(
    Usage,
    st.integers(-30, 30).map(lambda minutes: after(minutes=minutes)),
    st.lists(figures, max_size=2, unique_by=lambda w: w.key).map(tuple),
)


@given(st.none() | usages, usages)
def test_no_window_is_lost_and_none_falls_within_its_period(old: Usage | None, seen: Usage) -> None:
    new = merge_figures(old, seen)
    if new is None:
        return
    assert new.at == seen.at
    for window in old.windows if old else ():
        now = new.window(window.key)
        assert now is not None
        if now.resets_at == window.resets_at:
            assert now.utilization >= window.utilization
    assert merge_figures(new, seen) is None, "what was said twice is no news"


def slid(old: Usage | None, *ends: datetime | None, percent: float = 0) -> list[Usage]:
    """What is made of answers three minutes apart that name these ends."""
    found = []
    for number, end in enumerate(ends):
        old = correct_resets(old, usage(five(percent, end), at=after(minutes=3 * number)))
        found.append(old)
    return found


def ends_of(found: list[Usage]) -> list[datetime | None]:
    return [one.windows[0].resets_at for one in found]


def test_an_idle_window_whose_end_slides_with_the_clock_is_not_open() -> None:
    sliding = [after(hours=5, minutes=3 * n) for n in range(4)]
    assert ends_of(slid(None, *sliding)) == [sliding[0], None, None, None]


def test_an_end_that_slides_in_steps_is_none_either() -> None:
    steps = [after(hours=5), after(hours=5), after(hours=5, minutes=10), after(hours=5, minutes=10)]
    assert ends_of(slid(None, *steps)) == [steps[0], steps[1], None, None]


def test_a_sliding_window_that_is_used_is_open() -> None:
    idle = slid(None, after(hours=5), after(hours=5, minutes=3))[-1]
    opened = usage(five(1, after(hours=5)), at=after(minutes=6))
    assert correct_resets(idle, opened) == opened


def test_an_idle_window_whose_end_stays_is_open_after_a_while() -> None:
    idle = slid(None, after(hours=5), after(hours=5, minutes=3))[-1]
    later = usage(five(0, after(hours=5, minutes=3)), at=after(minutes=30))
    assert correct_resets(idle, later) == later


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (five(0, after(hours=1)), five(0, after(hours=1, seconds=90))),
        (five(0, before(minutes=1)), five(0, after(hours=5))),
        (five(40, after(hours=1)), five(0, after(hours=5))),
        (five(0, after(hours=1)), five(3, after(hours=5))),
        (Window("7d", 0, after(days=1)), Window("7d", 0, after(days=2))),
        (five(0, None), five(0, after(hours=5))),
    ],
    ids=["wobbles", "rolled over", "was used", "is used", "a week", "was not open"],
)
def test_an_end_that_does_not_slide_is_kept(first: Window, second: Window) -> None:
    seen = usage(second)
    assert correct_resets(usage(first, at=before(minutes=3)), seen) == seen


def test_a_window_that_has_not_fallen_keeps_the_end_that_an_answer_does_not_tell() -> None:
    assert correct_resets(KNOWN, usage(five(42, None))) == usage(five(42))
    assert correct_resets(KNOWN, usage(five(3, None))) == usage(five(3, None))
    assert correct_resets(usage(five(0)), usage(five(0, None))) == usage(five(0, None))
    ended = usage(five(40, before(minutes=1)), at=before(minutes=9))
    assert correct_resets(ended, usage(five(42, None))) == usage(five(42, None))


def test_an_answer_without_any_limit_is_no_news() -> None:
    assert merge_answer(KNOWN, usage(), {}) is None
