"""Numbers, durations and instants in words."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import format
from tests.builders import NOW
from tests.terminal.factories import span


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("6d 23h", "6d 23h"),
        ("2d 6h", "2d 06h"),
        ("23h 59m 59s", "23h 59m"),
        ("2h 4m", "2h 04m"),
        ("1h", "1h 00m"),
        ("59m 59s", "59m 59s"),
        ("38m 5s", "38m 05s"),
        ("12s", "12s"),
        ("0s", "0s"),
        ("400d", ">99d"),
    ],
)
def test_a_countdown_has_two_units_and_shows_seconds_below_one_hour(time: str, text: str) -> None:
    assert format.duration(span(time)) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("6d 23h 59m", "6d 23h"),
        ("2h 14m 59s", "2h 14m"),
        ("38m 59s", "38m"),
        ("59s", "less than a minute"),
        ("0s", "less than a minute"),
    ],
)
def test_a_duration_can_do_without_seconds(time: str, text: str) -> None:
    assert format.duration(span(time), seconds=False) == text


def test_a_countdown_is_never_negative() -> None:
    assert format.duration(timedelta(seconds=-5)) == "0s"


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_countdown_fits_its_column(time: timedelta) -> None:
    assert len(format.duration(time)) <= 8


@pytest.mark.parametrize(
    ("time", "text"),
    [("12s", "12s"), ("59s", "59s"), ("119s", "1m"), ("59m", "59m"), ("5h", "5h"), ("49h", "2d")],
)
def test_an_age_has_one_unit(time: str, text: str) -> None:
    assert format.age(span(time)) == text


@pytest.mark.parametrize(
    ("utilization", "text"),
    [
        (0.0, "0%"),
        (0.004, "<1%"),
        (0.01, "1%"),
        (0.29, "29%"),
        (0.42, "42%"),
        (0.57, "57%"),
        (0.996, "99%"),
        (0.9999999999, "99%"),
        (1.0, "100%"),
        (1.05, "105%"),
        (50.0, "999%"),
        (-0.1, "0%"),
        (float("nan"), "--"),
        (float("inf"), "999%"),
    ],
)
def test_a_percentage_is_rounded_down(utilization: float, text: str) -> None:
    assert format.percent(utilization) == text


@pytest.mark.parametrize(
    ("utilization", "text"),
    [
        (0.0, "0%"),
        (0.0004, "<0.1%"),
        (0.29, "29%"),
        (0.6425, "64.2%"),
        (0.9996, "99.9%"),
        (0.9999999999, "99.9%"),
        (1.0, "100%"),
        (1.0467, "104.6%"),
    ],
)
def test_a_percentage_with_decimals_is_rounded_down_too(utilization: float, text: str) -> None:
    assert format.percent(utilization, decimals=1) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.29, "29%"), (0.975, "97.5%"), (0.9999, "99.99%"), (1.0, "100%")]
)
def test_a_percentage_of_the_settings_is_as_it_was_written(ratio: float, text: str) -> None:
    assert format.exact_percent(ratio) == text


def test_an_unconfirmed_percentage_is_marked() -> None:
    assert format.percent(0.0, confirmed=False) == "~0%"


@given(st.integers(0, 300))
def test_a_whole_percentage_comes_out_as_it_went_in(percent: int) -> None:
    assert format.percent(percent / 100) == f"{percent}%"


@pytest.mark.parametrize(
    ("utilization", "cells"),
    [
        (0.0, ""),
        (0.001, "▏"),
        (0.03, "▎"),
        (0.12, "█▎"),
        (0.42, "████▎"),
        (0.65, "██████▌"),
        (0.999, "█████████▉"),
        (1.0, "██████████"),
        (1.3, "██████████"),
        (float("nan"), ""),
    ],
)
def test_a_bar_is_full_only_at_the_limit_and_empty_only_at_nothing(
    utilization: float, cells: str
) -> None:
    assert format.bar(utilization) == cells


TOKYO = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("ahead", "text"),
    [("2h 5m", "14:05"), ("1d", "Mon 12:00"), ("20d", "12 Dec 12:00"), ("60d", "21 Jan 2027")],
)
def test_a_clock_time_names_the_day_where_it_is_another(ahead: str, text: str) -> None:
    assert format.clock(NOW + span(ahead), NOW, UTC) == text


@pytest.mark.parametrize(
    ("ahead", "text"),
    [("2h 5m", "14:05:00"), ("1d", "Mon 12:00:00"), ("60d", "21 Jan 2027 12:00:00")],
)
def test_a_clock_time_can_have_seconds_on_any_day(ahead: str, text: str) -> None:
    assert format.clock(NOW + span(ahead), NOW, UTC, seconds=True) == text


def test_a_clock_time_is_local() -> None:
    assert format.clock(NOW, NOW, TOKYO) == "21:00"
    assert format.clock(NOW + span("4h"), NOW, TOKYO) == "Mon 01:00"


def test_an_instant_at_the_end_of_the_calendar_has_words_too() -> None:
    assert format.clock(datetime.max.replace(tzinfo=UTC), NOW, TOKYO) == "far away"


def test_an_instant_for_programs_is_in_utc_and_whole_seconds() -> None:
    at = datetime(2026, 11, 22, 23, 14, 0, 999999, TOKYO)
    assert format.iso(at) == "2026-11-22T14:14:00Z"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("995", "USD", "$995"),
        ("1000", "USD", "$1,000"),
        ("21.5", "EUR", "€21.50"),
        ("0.001", "GBP", "£0"),
        ("12345.678", "CHF", "12,345.68 CHF"),
    ],
)
def test_money_is_short(amount: str, currency: str, text: str) -> None:
    assert format.money(Decimal(amount), currency) == text
