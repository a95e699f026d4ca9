"""A window's past as a sparkline and as a chart: levels, resets, gaps, what is ahead, and every size."""

import time
from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.profiles import Sample
from monitor.terminal.chart import chart, sparkline
from monitor.terminal.text import ASCII, Style, line_width, plain
from tests.builders import NOW

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def climbing(hours: int, *, period: int = 48, step: float = 0.02) -> list[Sample]:
    """A sample each hour until NOW, a little more each time, with a reset at the end of each period."""
    start = NOW - hours * HOUR
    ends = [start + (hour // period + 1) * period * HOUR for hour in range(hours + 1)]
    levels = [hour % period * step for hour in range(hours + 1)]
    return [
        Sample(start + hour * HOUR, level, end)
        for hour, (level, end) in enumerate(zip(levels, ends, strict=True))
    ]


def shown(*args: object, **options: object) -> list[str]:
    lines = [plain(line) for line in chart(*args, **options)]  # type: ignore[arg-type]
    return [line.translate(ASCII) for line in lines] if "ascii" in options else lines


def test_a_chart_shows_levels_resets_and_times() -> None:
    lines = shown(climbing(72), NOW - 3 * DAY, NOW, (46, 9), ascii=True, tz=NOW.tzinfo)
    assert lines == [
        " 100%+                         **             ",
        "     |                     ******             ",
        "     |                ******    *             ",
        "  50%+           ******         *           **",
        "     |       *****              *      ****** ",
        "     |  ******                  *  *****      ",
        "   0%+***                       ****          ",
        "     +--------------------------^------------@",
        "            Fri 20        Sat 21       Sun 22",
    ]


def test_the_time_after_a_reset_and_far_from_any_sample_is_empty() -> None:
    samples = [Sample(NOW - 10 * HOUR, 0.5, NOW - 9 * HOUR), Sample(NOW - 4 * HOUR, 1.0)]
    line = sparkline(samples, NOW - 10 * HOUR, NOW, 10)
    assert (line, line.translate(ASCII)) == ("▄▄    ███ ", "==    ### ")


def test_the_highest_level_of_a_slice_is_what_a_sparkline_shows() -> None:
    levels = (0.0, 0.2, 0.96, 0.999, 1.0, 1.3)
    samples = [Sample(NOW - (6 - n) * HOUR, level) for n, level in enumerate(levels)]
    assert sparkline(samples, NOW - 6 * HOUR, NOW, 6) == "▁▂▇▇██"
    assert sparkline(samples, NOW - 6 * HOUR, NOW, 2) == "▇█"
    assert sparkline([], NOW - DAY, NOW, 5) == "     "


def test_what_is_ahead_is_a_band_up_to_the_reset() -> None:
    def expected(at):  # type: ignore[no-untyped-def]
        hours = (at - NOW) / HOUR
        return 0.5 + hours * 0.01, 0.5 + hours * 0.02, 0.5 + hours * 0.04

    samples = [Sample(NOW - 10 * HOUR, 0.0), Sample(NOW, 0.5, NOW + 10 * HOUR)]
    ahead_of_now = (NOW + 10 * HOUR, expected)
    lines = chart(samples, NOW - 10 * HOUR, NOW, (46, 23), ahead=ahead_of_now)
    middle = 6 + 20
    assert plain(lines[-2])[middle] == "●"
    ahead = [plain(line)[middle + 1 :] for line in lines[:-2]]
    assert all(set(text) <= set(" ░▓") for text in ahead)
    likely = [next(n for n, text in enumerate(ahead) if text[c] == "▓") for c in range(19)]
    assert likely == sorted(likely, reverse=True), "it climbs"
    last = [text[18] for text in ahead]
    assert last.count("▓") == 1
    assert last.count("░") > [text[0] for text in ahead].count("░"), "and is less sure"
    assert {span.style for line in lines for span in line if "░" in span.text} == {Style.NOTICE}


def test_more_than_the_limit_is_shown_as_such() -> None:
    lines = shown([Sample(NOW - HOUR, 1.5), Sample(NOW, 1.5)], NOW - HOUR, NOW, (60, 12))
    assert lines[0].startswith(" 150%┤⠉")


def test_so_many_resets_that_they_would_hide_the_levels_are_left_out() -> None:
    lines = shown(climbing(24 * 30, period=5), NOW - 30 * DAY, NOW, (60, 12))
    assert not {"▲", "╎"} & set("".join(lines))


@pytest.mark.parametrize(
    ("ago", "cells", "labels"),
    [
        (5 * HOUR, 80, ["08:00", "09:00", "10:00", "11:00"]),
        (7 * DAY, 60, ["Tue 17", "Thu 19", "Sat 21"]),
        (365 * DAY, 60, ["20 Feb", "21 May", "19 Aug"]),
    ],
)
def test_times_stand_at_whole_hours_days_or_dates(
    ago: timedelta, cells: int, labels: list[str]
) -> None:
    axis = shown([], NOW - ago, NOW, (cells, 8), tz=NOW.tzinfo)[-1]
    assert [label for label in labels if label not in axis] == []


def test_days_begin_at_midnight_where_the_user_is() -> None:
    kiritimati, utc = timezone(14 * HOUR), NOW.tzinfo
    here, there = (shown([], NOW - DAY, NOW, (90, 8), tz=tz)[-1] for tz in (utc, kiritimati))
    assert here.index("Sun 22") == 6 + 42
    assert there.index("Mon 23") == 6 + 77


def test_a_year_is_drawn_within_a_tenth_of_a_second() -> None:
    hourly = [one for one in climbing(24 * 365, period=5, step=0.19) if one.at < NOW - 8 * DAY]
    recent = [Sample(NOW - n * timedelta(minutes=3), 0.3) for n in range(8 * 480, -1, -1)]
    took = []
    for _ in range(3):
        began = time.process_time()
        chart([*hourly, *recent], NOW - 365 * DAY, NOW, (120, 20))
        took.append(time.process_time() - began)
    assert min(took) < 0.1


levels = st.lists(
    st.tuples(st.integers(0, 60 * 24 * 9), st.floats(0, 1.6), st.none() | st.integers(1, 300)),
    max_size=30,
)


@given(levels, st.integers(1, 200), st.integers(0, 40), st.booleans(), st.booleans())
def test_every_past_fits_into_every_size(
    rows: list[tuple[int, float, int | None]], width: int, height: int, ascii: bool, ahead: bool
) -> None:
    samples = [
        Sample(
            NOW - DAY * 9 + minute * timedelta(minutes=1),
            level,
            None if end is None else NOW + end * HOUR,
        )
        for minute, level, end in sorted(rows, key=lambda row: row[0])
    ]
    expected = (NOW + 3 * DAY, lambda _: (0.2, 0.5, 1.4)) if ahead else None
    lines = chart(
        samples,
        NOW - 7 * DAY,
        NOW,
        (width, height),
        ahead=expected,
        ascii=ascii,
        tz=ZoneInfo("Europe/Berlin"),
    )
    assert max(map(line_width, lines)) <= max(width, 40)
    assert len(lines) <= max(height, 4)
    assert not ascii or all(plain(line).translate(ASCII).isascii() for line in lines)
    line = sparkline(samples, NOW - 7 * DAY, NOW, width)
    assert len(line) == width
