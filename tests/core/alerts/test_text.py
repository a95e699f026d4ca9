import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.alerts.text import (
    SUMMARY_LINES,
    Message,
    format_alert,
    format_alerts,
    headline,
    sentences,
    summarize,
)
from tests.builders import NOW, after, before

CRITICAL = Urgency.CRITICAL

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


def about(kind: AlertKind, **values: Any) -> Alert:
    """An alert about a whole account."""
    return Alert(kind, "user@work.com", "", NOW, **values)


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
                "user@work.com: 5h limit reached", "At 100%. Resets at 14:14 (in 2h 14m).", CRITICAL
            ),
            id="limit",
        ),
        pytest.param(
            replace(CROSSED, utilization=1.04),
            Message(
                "user@work.com: 5h limit reached", "At 104%. Resets at 14:14 (in 2h 14m).", CRITICAL
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
                "Peaked at 97% before the reset at 11:59.",
            ),
            id="reset",
        ),
        pytest.param(
            replace(REOPENED, window="7d", resets_at=None),
            Message("user@work.com: 7d is open again", "Peaked at 97%."),
            id="reset at an unknown instant",
        ),
        pytest.param(
            replace(CROSSED, kind=AlertKind.LIMIT, utilization=1.0, threshold=None),
            Message(
                "user@work.com: 5h limit reached", "At 100%. Resets at 14:14 (in 2h 14m).", CRITICAL
            ),
            id="limit that is no threshold",
        ),
        pytest.param(
            replace(REOPENED, kind=AlertKind.EARLY_RESET, resets_at=NOW),
            Message(
                "user@work.com: 5h is open again early",
                "Peaked at 97%, reset before its time.",
            ),
            id="early reset",
        ),
        pytest.param(
            replace(CROSSED, kind=AlertKind.PACE, threshold=None, resets_at=after(minutes=80)),
            Message(
                "user@work.com: 5h will be full at 13:20",
                "At 87%: at this pace it is full in 1h 20m, before its reset.",
            ),
            id="pace",
        ),
        pytest.param(
            replace(CROSSED, kind=AlertKind.PACE, threshold=None, resets_at=None),
            Message("user@work.com: 5h is on pace to run out before the reset", "At 87%."),
            id="pace at an unknown instant",
        ),
        pytest.param(
            about(AlertKind.LOGIN, detail="the API refused the login"),
            Message(
                "user@work.com: login needed",
                "The API refused the login. Log in again: its data is stale until then.",
            ),
            id="login",
        ),
        pytest.param(
            about(AlertKind.EXPIRY, resets_at=after(days=2, hours=3)),
            Message(
                "user@work.com: login ends on Tue 24 Nov at 15:00",
                "In 2d 03h. Log in again before then: nothing else renews it.",
            ),
            id="expiry",
        ),
        pytest.param(
            about(AlertKind.EXPIRY),
            Message(
                "user@work.com: login ends soon",
                "Log in again before then: nothing else renews it.",
            ),
            id="expiry at an unknown instant",
        ),
        pytest.param(
            about(AlertKind.UNREADABLE, detail="HTTP 503"),
            Message(
                "user@work.com: cannot be read", "HTTP 503. Data is stale until this is fixed."
            ),
            id="unreadable",
        ),
        pytest.param(
            Alert(
                AlertKind.EXHAUSTED, "", "", NOW, resets_at=after(minutes=38), detail="me@home.com"
            ),
            Message(
                "All accounts are at their limit",
                "The first to be free is me@home.com, at 12:38 (in 38m).",
                CRITICAL,
            ),
            id="exhausted",
        ),
        pytest.param(
            Alert(AlertKind.EXHAUSTED, "", "", NOW),
            Message("All accounts are at their limit", "", CRITICAL),
            id="exhausted, and nobody knows until when",
        ),
        pytest.param(
            about(AlertKind.FREE, resets_at=NOW),
            Message("user@work.com is free again", "All accounts had been at their limit."),
            id="free",
        ),
        pytest.param(
            Alert(AlertKind.SUMMARY, "", "", NOW, detail="3 alerts were not told"),
            Message("Claude Tracker: alerts", "3 alerts were not told."),
            id="summary in words",
        ),
        pytest.param(
            Alert(AlertKind.TEST, "", "", NOW),
            Message("Claude Tracker: test", "If you can read this, alerts reach you here."),
            id="test",
        ),
    ],
)
def test_an_alert_is_worded(alert: Alert, message: Message) -> None:
    assert format_alert(alert, UTC) == message


def test_clock_times_and_days_are_those_of_the_zone() -> None:
    alert = replace(CROSSED, resets_at=after(hours=5))
    tokyo = timezone(timedelta(hours=9))
    assert "Resets at 17:00" in format_alert(alert, UTC).body
    assert "Resets on Mon 23 Nov at 02:00" in format_alert(alert, tokyo).body


def test_without_a_zone_the_machine_s_own_is_used() -> None:
    assert CROSSED.resets_at is not None
    local = CROSSED.resets_at.astimezone()
    assert f"at {local:%H:%M}" in format_alert(CROSSED).body


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
    assert "Resets at 04:00 (in 2h 30m)" in format_alert(alert).body


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=20))
def test_no_name_brings_control_characters_into_a_message(account: str, window: str) -> None:
    alert = replace(CROSSED, account=account, window=window)
    login = about(AlertKind.LOGIN, detail=account)
    message, several = format_alert(alert, UTC), summarize([alert, login], UTC)
    text = message.title + message.body + format_alert(login, UTC).body + several.title
    text += "".join(several.body.split("\n", 1))
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "RLI") for c in text)


def test_a_name_of_nothing_visible_is_still_somebody() -> None:
    assert format_alert(replace(CROSSED, account="\u202e"), UTC).title == "unnamed: 5h at 87%"


def test_there_are_words_for_every_kind() -> None:
    assert all(format_alert(about(kind), UTC).title for kind in AlertKind)


def test_one_alert_is_worded_by_itself() -> None:
    assert format_alerts([CROSSED], zone=UTC) == format_alert(CROSSED, UTC)


def test_several_alerts_are_one_message_with_a_line_each() -> None:
    alerts = [CROSSED, REOPENED, about(AlertKind.LOGIN)]
    assert format_alerts(alerts, zone=UTC) == Message(
        "Claude Tracker: 3 alerts",
        "user@work.com: 5h at 87%, resets at 14:14\n"
        "user@work.com: login needed\n"
        "user@work.com: 5h is open again",
    )


def test_a_summary_begins_with_what_presses_most_and_is_newest() -> None:
    older = replace(CROSSED, account="older", at=before(minutes=5), resets_at=None)
    newer = replace(CROSSED, account="newer", resets_at=None)
    full = replace(CROSSED, account="full", at=before(minutes=9), utilization=1.0, resets_at=None)
    message = summarize([REOPENED, older, newer, about(AlertKind.UNREADABLE), full], UTC)
    assert message.body.splitlines() == [
        "full: 5h limit reached",
        "newer: 5h at 87%",
        "older: 5h at 87%",
        "user@work.com: cannot be read",
        "user@work.com: 5h is open again",
    ]
    assert message.urgency is Urgency.CRITICAL


@pytest.mark.parametrize(("count", "last"), [(6, "user-5: 5h at 87%"), (9, "and 3 more")])
def test_a_long_summary_says_how_many_it_leaves_out(count: int, last: str) -> None:
    alerts = [replace(CROSSED, account=f"user-{n}", resets_at=None) for n in range(count)]
    lines = format_alerts(alerts, zone=UTC).body.splitlines()
    assert len(lines) == min(count, SUMMARY_LINES + 1)
    assert lines[-1] == last


@pytest.mark.parametrize(
    ("utilization", "asked", "urgency"),
    [
        (0.87, Urgency.NORMAL, Urgency.NORMAL),
        (1.0, Urgency.NORMAL, Urgency.CRITICAL),
        (1.0, Urgency.LOW, Urgency.LOW),
        (0.87, Urgency.CRITICAL, Urgency.CRITICAL),
    ],
)
def test_a_reached_limit_is_critical_unless_the_user_has_said_otherwise(
    utilization: float, asked: Urgency, urgency: Urgency
) -> None:
    alert = replace(CROSSED, utilization=utilization)
    assert format_alerts([alert], asked, UTC).urgency is urgency
    assert format_alerts([alert, REOPENED], asked, UTC).urgency is urgency


def test_sentences_are_ended_and_joined_and_empty_ones_left_out() -> None:
    joined = sentences("the API said no", "", "Try again!", "it may help…")
    assert joined == "The API said no. Try again! It may help…"


RESETS = after(hours=2, minutes=14)


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        (CROSSED, "5h passed 80% · resets 14:14"),
        (replace(CROSSED, utilization=1.0, threshold=1.0), "5h full · resets 14:14"),
        (replace(CROSSED, resets_at=None), "5h passed 80%"),
        (
            Alert(AlertKind.LIMIT, "a", "7d_opus", NOW, 1.0, resets_at=RESETS),
            "7d opus full · resets 14:14",
        ),
        (REOPENED, "5h open again, was 97%"),
        (replace(REOPENED, kind=AlertKind.EARLY_RESET), "5h open again early, was 97%"),
        (
            Alert(AlertKind.PACE, "a", "5h", NOW, 0.6, resets_at=RESETS),
            "5h full at about 14:14 at this pace",
        ),
        (Alert(AlertKind.LOGIN, "a", "", NOW), "login needed"),
        (Alert(AlertKind.EXPIRY, "a", "", NOW, resets_at=RESETS), "login ends 14:14"),
        (
            Alert(AlertKind.UNREADABLE, "a", "", NOW, detail="no network"),
            "cannot be read: no network",
        ),
        (
            Alert(AlertKind.EXHAUSTED, "", "", NOW, detail="finn@work.com", resets_at=RESETS),
            "all accounts full · finn@work.com free 14:14",
        ),
        (Alert(AlertKind.WEEK_EXPIRED, "a", "7d", NOW, 0.62), "38% of the week expired unused"),
        (Alert(AlertKind.FREE, "a", "", NOW), "free again"),
        (Alert(AlertKind.TEST, "", "", NOW), "test: alerts are shown here"),
    ],
)
def test_a_headline_is_one_line_without_the_account(alert: Alert, words: str) -> None:
    assert headline(alert, NOW, UTC) == words


def test_every_kind_of_alert_has_a_headline() -> None:
    assert all(headline(Alert(kind, "a", "5h", NOW), NOW, UTC) for kind in AlertKind)
