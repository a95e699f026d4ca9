import html
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.channels.text import (
    NAME_LENGTH,
    Message,
    cleaned,
    duration,
    escape_markup,
    percent,
    worded,
)
from monitor.core.effects import Alert, AlertKind
from tests.builders import NOW, after, before

CROSSED = Alert(
    AlertKind.THRESHOLD,
    "user@work.com",
    "5h",
    NOW,
    utilization=0.87,
    threshold=0.80,
    resets_at=after(hours=2, minutes=14),
)
REOPENED = Alert(
    AlertKind.RESET, "user@work.com", "5h", NOW, utilization=0.97, resets_at=before(minutes=1)
)


@pytest.mark.parametrize(
    ("alert", "message"),
    [
        pytest.param(
            CROSSED,
            Message("user@work.com: 5h at 87%", "Passed 80%. Resets at 14:14 (in 2h 14m)."),
            id="threshold",
        ),
        pytest.param(
            replace(CROSSED, utilization=0.996, threshold=0.95),
            Message("user@work.com: 5h at 99%", "Passed 95%. Resets at 14:14 (in 2h 14m)."),
            id="just below the limit",
        ),
        pytest.param(
            replace(CROSSED, utilization=1.0, threshold=1.0),
            Message(
                "user@work.com: 5h limit reached", "At 100%. Resets at 14:14 (in 2h 14m).", True
            ),
            id="limit",
        ),
        pytest.param(
            replace(CROSSED, utilization=1.04),
            Message(
                "user@work.com: 5h limit reached", "At 104%. Resets at 14:14 (in 2h 14m).", True
            ),
            id="beyond the limit, at once",
        ),
        pytest.param(
            replace(CROSSED, window="7d", resets_at=after(days=4, hours=11)),
            Message(
                "user@work.com: 7d at 87%", "Passed 80%. Resets on Thu 26 Nov at 23:00 (in 4d 11h)."
            ),
            id="another day",
        ),
        pytest.param(
            replace(CROSSED, window="7d_opus", resets_at=None),
            Message("user@work.com: 7d opus at 87%", "Passed 80%."),
            id="per-model week, no known end",
        ),
        pytest.param(
            replace(CROSSED, threshold=0.825),
            Message("user@work.com: 5h at 87%", "Passed 82.5%. Resets at 14:14 (in 2h 14m)."),
            id="a threshold between two percent",
        ),
        pytest.param(
            replace(CROSSED, resets_at=after(hours=2, minutes=14) - timedelta(seconds=1.9)),
            Message("user@work.com: 5h at 87%", "Passed 80%. Resets at 14:14 (in 2h 14m)."),
            id="a wobbling end",
        ),
        pytest.param(
            replace(CROSSED, resets_at=before(seconds=40)),
            Message("user@work.com: 5h at 87%", "Passed 80%. Its reset is due."),
            id="an end that has passed",
        ),
        pytest.param(
            REOPENED,
            Message(
                "user@work.com: 5h is open again",
                "It had reached 97% before the reset at 11:59.",
            ),
            id="reset",
        ),
        pytest.param(
            replace(REOPENED, window="7d", resets_at=None),
            Message("user@work.com: 7d is open again", "It had reached 97%."),
            id="reset at an unknown instant",
        ),
        pytest.param(
            Alert(AlertKind.TEST, "", "", NOW),
            Message("Claude Tracker: test", "If you can read this, alerts reach you here."),
            id="test",
        ),
    ],
)
def test_an_alert_is_worded(alert: Alert, message: Message) -> None:
    assert worded(alert, UTC) == message


def test_clock_times_and_days_are_those_of_the_zone() -> None:
    alert = replace(CROSSED, resets_at=after(hours=5))
    tokyo = timezone(timedelta(hours=9))
    assert "Resets at 17:00" in worded(alert, UTC).body
    assert "Resets on Mon 23 Nov at 02:00" in worded(alert, tokyo).body


def test_without_a_zone_the_machine_s_own_is_used() -> None:
    assert CROSSED.resets_at is not None
    local = CROSSED.resets_at.astimezone()
    assert f"at {local:%H:%M}" in worded(CROSSED).body


@pytest.fixture
def central_europe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own zone, without the need of a zone database."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("central_europe")
def test_a_reset_after_a_change_of_the_clocks_is_told_in_the_time_that_holds_then() -> None:
    at = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    alert = replace(CROSSED, at=at, resets_at=at + timedelta(hours=2, minutes=30))
    assert "Resets at 04:00 (in 2h 30m)" in worded(alert).body


@pytest.mark.parametrize(
    ("utilization", "whole"),
    [(0.0, 0), (0.29, 29), (0.57, 57), (0.799, 79), (0.996, 99), (0.99999999999, 99), (1.0, 100)],
)
def test_percent_is_rounded_down(utilization: float, whole: int) -> None:
    assert percent(utilization) == whole


@given(st.integers(0, 300))
def test_whole_percents_of_the_api_survive_the_ratio(whole: int) -> None:
    assert percent(whole / 100) == whole


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=6, hours=23, minutes=59), "6d 23h"),
        (timedelta(days=1), "1d 0h"),
        (timedelta(hours=2, minutes=14, seconds=59), "2h 14m"),
        (timedelta(minutes=38), "38m"),
        (timedelta(seconds=59), "less than a minute"),
    ],
)
def test_a_duration_has_its_two_largest_units(left: timedelta, words: str) -> None:
    assert duration(left) == words


@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\b", "ab"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("a\u2066b\u2069\u200f\ufeffc", "abc"),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("a\x00b\x07\x7f", "ab"),
        ("a\ud800b", "ab"),
        ("Zoë 李雷 👩\u200d💻", "Zoë 李雷 👩\u200d💻"),
        ("x" * 200, "x" * (NAME_LENGTH - 1) + "…"),
    ],
)
def test_names_are_reduced_to_one_line_of_visible_text(name: str, visible: str) -> None:
    assert cleaned(name) == visible


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=20))
def test_no_name_brings_control_characters_into_a_message(account: str, window: str) -> None:
    message = worded(replace(CROSSED, account=account, window=window), UTC)
    text = message.title + message.body
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "RLI") for c in text)


def test_a_name_of_nothing_visible_is_still_somebody() -> None:
    assert worded(replace(CROSSED, account="\u202e"), UTC).title == "unnamed: 5h at 87%"


@given(st.text(alphabet="<>&;alt\"' "))
def test_escaped_markup_reads_as_typed(text: str) -> None:
    assert "<" not in escape_markup(text)
    assert html.unescape(escape_markup(text)) == text
