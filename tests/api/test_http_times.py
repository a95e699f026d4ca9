"""The times of HTTP's headers: what a server may write there, and what it should not."""

from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.api.http_times import LONGEST_WAIT, parse_http_date, parse_retry_after
from tests.builders import NOW

AT_NOON = "Sun, 22 Nov 2026 12:00:00 GMT"
LATER = "Sun, 22 Nov 2026 12:02:00 GMT"
FAR_AWAY = "Sun, 22 Nov 99999999999999999999 12:00:00 GMT"
FAR_EAST = "Sun, 22 Nov 2026 12:00:00 +99999999999999"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("0", None, 0),
        (" 42 ", None, 42),
        ("9" * 400, None, 86400),
        (LATER, None, 120),
        (LATER, "Sun, 22 Nov 2026 12:01:00 GMT", 60),
        (LATER, "no date", 120),
        ("Sun, 22 Nov 2027 12:02:00 GMT", None, 86400),
        ("Sun, 22 Nov 2026 11:00:00 GMT", None, 0),
        ("Sun, 22 Nov 2026 12:02:00 -0000", AT_NOON, 120),
        ("soon", None, None),
        ("-5", None, None),
        ("", None, None),
        ("²", None, None),
        ("٣", None, None),
        (FAR_AWAY, None, None),
        (FAR_EAST, None, None),
    ],
)
def test_a_wait_is_seconds_or_a_date(
    value: str | None, date: str | None, seconds: int | None
) -> None:
    headers = {"Retry-After": value, "Date": date}
    wanted = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after({k: v for k, v in headers.items() if v is not None}, NOW) == wanted


def test_a_date_says_nothing_where_nobody_knows_the_time() -> None:
    assert parse_retry_after({"Retry-After": LATER}) is None
    assert parse_retry_after({"Retry-After": LATER, "Date": AT_NOON}) == timedelta(minutes=2)


@given(st.text(), st.text())
@example("²", "")
@example(FAR_AWAY, FAR_EAST)
@example(FAR_EAST, FAR_AWAY)
def test_whatever_the_headers_say_there_is_a_wait_of_at_most_a_day_or_none(
    value: str, date: str
) -> None:
    wait = parse_retry_after({"Retry-After": value, "Date": date}, NOW)
    assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT


@pytest.mark.parametrize("text", ["", "noon", FAR_AWAY, FAR_EAST])
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_http_date(text) is None


def test_a_date_is_aware() -> None:
    assert isinstance(parse_http_date(AT_NOON), datetime)
    assert parse_http_date(AT_NOON) == parse_http_date("Sun, 22 Nov 2026 12:00:00 -0000") == NOW
