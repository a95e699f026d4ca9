"""Values as people write them: addresses, durations, instants and quiet hours."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import SettingsError
from monitor.settings import Address, parse_duration, parse_listen, parse_since
from monitor.settings.schema import LONGEST_DURATION as LONGEST
from monitor.settings.schema import QuietHours
from tests.builders import NOW


@pytest.mark.parametrize(
    "text, host, port",
    [
        ("off", None, None),
        ("127.0.0.1:15707", "127.0.0.1", 15707),
        ("localhost:80", "localhost", 80),
        ("10.0.0.1:0", "10.0.0.1", 0),
        ("[::]:65535", "::", 65535),
        (":15707", "", 15707),
    ],
)
def test_addresses_to_listen_on(text: str, host: str | None, port: int | None) -> None:
    assert parse_listen(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", ":", "80", "a:65536", "::1:80", "[::1]", "[x]:1", "a b:1", "a:-1", "OFF:x",
     "999.1.1.1:80", "1.2.3:80", "0:80"],
)  # fmt: skip
def test_what_is_no_address_to_listen_on(text: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
        ("365d", LONGEST),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "5m1h", "1.5h", "5 m", "٣m", "366d", "1w"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_duration(text)


@given(st.integers(0, 364), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, secs: int) -> None:
    duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=secs)
    assert parse_duration(f"{days}d{hours}h{minutes}m{secs}s") == duration


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("400d", NOW - timedelta(days=400)),
        ("2026-11-20", datetime(2026, 11, 19, 23, tzinfo=UTC)),
        ("2026-11-20T08:00", datetime(2026, 11, 20, 7, tzinfo=UTC)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20 08:00+02:00", datetime(2026, 11, 20, 6, tzinfo=UTC)),
    ],
)
def test_since_when(text: str, instant: datetime) -> None:
    assert parse_since(text, NOW, ZoneInfo("Europe/Berlin")) == instant


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "9999-12-31T23:59-23:59"])
def test_what_is_no_since(text: str) -> None:
    with pytest.raises(SettingsError, match="neither a duration nor a date"):
        parse_since(text, NOW)


def test_a_since_that_is_to_come_is_called_so() -> None:
    with pytest.raises(SettingsError, match='"2030-01-01" is in the future'):
        parse_since("2030-01-01", NOW)


NIGHT = QuietHours(time(22), time(7))

NOON = QuietHours(time(12), time(13, 30))

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("quiet", "local", "until"),
    [
        (NIGHT, "2026-11-22T21:59", None),
        (NIGHT, "2026-11-22T22:00", "2026-11-23T07:00"),
        (NIGHT, "2026-11-23T00:00", "2026-11-23T07:00"),
        (NIGHT, "2026-11-23T06:59:59", "2026-11-23T07:00"),
        (NIGHT, "2026-11-23T07:00", None),
        (NOON, "2026-11-22T12:00", "2026-11-22T13:30"),
        (NOON, "2026-11-22T13:30", None),
        (NOON, "2026-11-22T23:00", None),
        (NIGHT, "2026-10-24T23:00", "2026-10-25T07:00"),
        (NIGHT, "2026-03-28T23:00", "2026-03-29T07:00"),
    ],
)
def test_quiet_hours(quiet: QuietHours, local: str, until: str | None) -> None:
    now = datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    end = until and datetime.fromisoformat(until).replace(tzinfo=BERLIN)
    assert quiet.until(now.astimezone(UTC), BERLIN) == end


@given(
    st.builds(QuietHours, st.times(), st.times()).filter(lambda quiet: quiet.start != quiet.end),
    st.timedeltas(timedelta(0), timedelta(days=3650)).map(lambda later: NOW + later),
)
def test_quiet_hours_end_within_a_day_and_are_then_over(quiet: QuietHours, now: datetime) -> None:
    end = quiet.until(now, UTC)
    if end is not None:
        assert now < end <= now + timedelta(days=1)
        assert quiet.until(end, UTC) is None
