"""Why a rule has or has not spoken, in words, by tables: samples that were polled, and what is said of a rule."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.explain import explain, explain_all
from monitor.core.alerts.rules import Alert, AlertKind, Override, Rule, RuleBook, WindowMemory
from monitor.core.errors import Failure, Reason
from monitor.core.events import Event, Forecasted, PollFailed, PollSucceeded, Ticked
from monitor.core.forecast import Forecast, FullAt
from monitor.core.model import AccountForecast
from monitor.core.state import LoggedAlert, Policy, State
from monitor.core.update import update
from tests.builders import NOW, after, state, usage, waiting, window

END = timedelta(hours=3)
SECOND = timedelta(seconds=1)
Points = Sequence[tuple[float, float]]
"""Polls: minutes after `NOW`, and a percentage of the 5h window."""


def polled(points: Points, end: timedelta | None = END) -> list[Event]:
    return [
        PollSucceeded(
            after(minutes=m), "a", usage(window("5h", p, end), at=after(minutes=m)), SECOND
        )
        for m, p in points
    ]


def after_events(events: Sequence[Event], rules: RuleBook) -> tuple[State, list[Alert]]:
    now, told = replace(state(waiting("a")), policy=Policy(alerts=rules)), list[Alert]()
    for event in events:
        now, effects = update(now, event)
        told += effects
    return now, told


def explained(
    events: Sequence[Event],
    rules: RuleBook | None = None,
    at: datetime | None = None,
    is_sent: bool = True,
    outcome: str = "",
) -> dict[str, str]:
    """What is said of each rule, at the last event if at no other instant."""
    book = rules or RuleBook()
    reached, told = after_events(events, book)
    now = at or (events[-1].at if events else NOW)
    log = [LoggedAlert(alert, alert.at, is_sent, outcome) for alert in told]
    lines = explain(reached.accounts["a"], book, now, log, zone=UTC)
    return {line.split()[0]: line.strip().split(maxsplit=1)[-1] for line in lines if line}


def only(kind: AlertKind, **rule: object) -> RuleBook:
    return RuleBook(rules={kind: Rule(**rule)})  # type: ignore[arg-type]  # a test's free choice


HELD = only(AlertKind.THRESHOLD, hold=timedelta(minutes=10))

CASES: dict[str, tuple[list[Event], RuleBook | None, str, str]] = {
    "the last sample": (
        polled([(0, 70), (3, 64.25)]),
        None,
        "sample",
        "64.2% at 12:03:00 (0s ago), 70% at most",
    ),
    "the period": (polled([(0, 70)]), None, "period", "until 15:00:00 (in 3h 00m)"),
    "no window": (polled([(0, 0)], None), None, "period", "no window is open"),
    "a threshold ahead": (
        polled([(0, 70), (3, 79.5)]),
        None,
        "threshold_80",
        "waits for 80%: 0.5 points more",
    ),
    "a sample just below the limit": (
        polled([(0, 70), (3, 99.96)]),
        None,
        "sample",
        "99.9% at 12:03:00 (0s ago)",
    ),
    "the limit just ahead": (
        polled([(0, 70), (3, 99.96)]),
        None,
        "threshold_100",
        "waits for 100%: 0.1 points more",
    ),
    "a threshold that has spoken": (
        polled([(0, 70), (3, 81), (6, 82)]),
        None,
        "threshold_80",
        "fired at 12:03:00; not again until the window resets",
    ),
    "a threshold that has spoken and is out of reach again": (
        polled([(0, 70), (3, 81), (6, 79)]),
        None,
        "threshold_80",
        "fired at 12:03:00; not again until the window resets; "
        "usage below it now does not re-arm it",
    ),
    "a threshold below the first sample": (
        polled([(0, 85)]),
        None,
        "threshold_80",
        "skipped: already exceeded at the first reading, or covered by a higher threshold; "
        "not again until the window resets",
    ),
    "a threshold that was passed together with a higher one": (
        polled([(0, 70), (3, 97)]),
        None,
        "threshold_80",
        "skipped, covered by threshold_95: fired at 12:03:00; not again until the window resets",
    ),
    "a threshold that is held": (
        polled([(0, 70), (3, 81)]),
        HELD,
        "threshold_80",
        "reached at 12:03:00; fires if that is still true at 12:13:00",
    ),
    "an account's own threshold": (
        polled([(0, 70)]),
        RuleBook(overrides={"a": Override((0.9,))}),
        "threshold_90",
        "waits for 90%: 20 points more",
    ),
    "the limit is a threshold": (
        polled([(0, 70)]),
        None,
        "limit",
        "covered by threshold_100",
    ),
    "the limit by itself": (
        polled([(0, 70), (3, 100)]),
        RuleBook(thresholds=(0.8,)),
        "limit",
        "fired at 12:03:00; not again until the window resets",
    ),
    "a reset after low use": (
        polled([(0, 70)]),
        None,
        "reset",
        "will not fire: the period was at 70% at most, below 80%",
    ),
    "a reset to come": (
        polled([(0, 70), (3, 85)]),
        None,
        "reset",
        "fires at the first sample after 15:00:00 that is below 80%: the period was at 85%",
    ),
    "a reset without thresholds": (
        polled([(0, 70)]),
        RuleBook(thresholds=()),
        "reset",
        "never fires: no thresholds are set",
    ),
    "a reset of a window that is not open": (
        polled([(0, 90)], None),
        None,
        "reset",
        "waits for a window to open",
    ),
    "no early reset": (
        polled([(0, 70)]),
        None,
        "early_reset",
        "no sudden drop seen",
    ),
    "a hint of an early reset": (
        polled([(0, 70), (3, 5)]),
        None,
        "early_reset",
        "a low sample at 12:03:00 hints at one: waits for another, 60s later or more",
    ),
    "no pace below half": (
        polled([(0, 10)]),
        None,
        "pace",
        "inactive: pace is only checked from 50% up",
    ),
    "no pace after a hint": (
        polled([(0, 70), (3, 5)]),
        None,
        "pace",
        "inactive: the last sample was a low one, which is to be confirmed",
    ),
    "no pace of a full window": (
        polled([(0, 100)]),
        None,
        "pace",
        "inactive: the window is full",
    ),
    "no pace without a window": (
        polled([(0, 70)], None),
        None,
        "pace",
        "inactive: no window is open",
    ),
    "no pace yet": (
        polled([(0, 60), (3, 61)]),
        None,
        "pace",
        "inactive: flat, or less than 15m of data",
    ),
    "a pace that lasts": (
        polled([(m, 50 + m / 10) for m in range(0, 31, 3)]),
        None,
        "pace",
        "inactive: at this pace full at 20:20:00, not 15m before the reset",
    ),
    "a pace that does not last, pending": (
        polled([(m, 50 + m) for m in range(0, 16, 3)]),
        None,
        "pace",
        "pending: so since 12:15:00; fires if that is still true at 12:20:00",
    ),
    "a pace that does not last, told": (
        polled([(m, 50 + m) for m in range(0, 22, 3)]),
        None,
        "pace",
        "firing: so since 12:15:00, sent at 12:21:00",
    ),
    "a pace that has slowed": (
        [
            *polled([(m, 50 + m) for m in range(0, 22, 3)]),
            *polled([(m, 71) for m in range(24, 60, 3)]),
        ],
        None,
        "pace",
        "resolved: sent at 12:21:00, not so since 12:45:00; can fire again after 15:00:00",
    ),
    "a login that is not needed": (
        polled([(0, 1)]),
        None,
        "login",
        "not firing: condition is false",
    ),
    "a login that is needed": (
        [PollFailed(NOW, "a", Failure(Reason.AUTH, detail="expired"))],
        None,
        "login",
        "pending: so since 12:00:00; fires if that is still true at 12:05:00",
    ),
    "a login that was told": (
        [PollFailed(NOW, "a", Failure(Reason.AUTH, detail="expired")), Ticked(after(minutes=5))],
        None,
        "login",
        "firing: so since 12:00:00, sent at 12:05:00",
    ),
    "a login that was told and is there again": (
        [
            PollFailed(NOW, "a", Failure(Reason.AUTH, detail="expired")),
            Ticked(after(minutes=5)),
            *polled([(6, 1)]),
        ],
        None,
        "login",
        "resolved: sent at 12:05:00, not so since 12:06:00; can fire again after 12:16:00",
    ),
    "all is off": (
        polled([(0, 85)]),
        RuleBook(enabled=False),
        "threshold_80",
        "silent: notifications.enabled is false",
    ),
    "a rule is off": (
        polled([(0, 85)]),
        only(AlertKind.PACE, enabled=False),
        "pace",
        "silent: the rule is off",
    ),
    "a rule is about other accounts": (
        polled([(0, 85)]),
        only(AlertKind.LOGIN, accounts=("b",)),
        "login",
        "silent: the rule is about other accounts",
    ),
    "a rule is about other windows": (
        polled([(0, 85)]),
        only(AlertKind.RESET, windows=("7d", "7d_opus")),
        "reset",
        "silent: the rule is about 7d, 7d_opus",
    ),
    "the account wants none of it": (
        polled([(0, 85)]),
        RuleBook(overrides={"a": Override(silent=frozenset({AlertKind.RESET}))}),
        "reset",
        "silent: the account's settings say so",
    ),
}


@pytest.mark.parametrize(
    ("is_sent", "outcome", "words"),
    [
        (True, "sent (desktop)", "fired at 12:03:00; not again until"),
        (False, "", "decided at 12:03:00, not sent yet; not again until"),
        (
            False,
            "not sent (desktop: unavailable)",
            "decided at 12:03:00, not sent (desktop: unavailable); not again until",
        ),
    ],
)
def test_an_alert_has_spoken_once_it_was_told(is_sent: bool, outcome: str, words: str) -> None:
    said = explained(polled([(0, 70), (3, 81)]), is_sent=is_sent, outcome=outcome)
    assert said["threshold_80"].startswith(words)
    higher = explained(polled([(0, 70), (3, 97)]), is_sent=is_sent, outcome=outcome)["threshold_80"]
    assert higher.startswith(f"skipped, covered by threshold_95: {words}")


@pytest.mark.parametrize("kept", [0, 1])
def test_an_alert_of_before_an_early_reset_is_not_of_this_period(kept: int) -> None:
    low = polled([(6, 0), (9, 0)], None)
    reached, told = after_events(
        [*polled([(0, 70), (3, 85)]), *low, *polled([(12, 85)])], RuleBook()
    )
    passed = [alert for alert in told if alert.kind is AlertKind.THRESHOLD]
    log = [LoggedAlert(passed[kept], passed[kept].at, True, "")]
    lines = explain(reached.accounts["a"], RuleBook(), after(minutes=12), log, zone=UTC)
    (line,) = (line for line in lines if "threshold_80" in line)
    assert ("skipped: already exceeded" in line, "fired at 12:12" in line) == (not kept, bool(kept))


def test_an_end_that_wobbles_across_a_minute_makes_no_other_period() -> None:
    polls = ((0, 70, 29), (3, 81, 29), (6, 82, 31))
    events = [polled([(m, p)], END + timedelta(seconds=s))[0] for m, p, s in polls]
    assert explained(events)["threshold_80"].startswith("fired at 12:03:00")


@pytest.mark.parametrize(("events", "rules", "rule", "words"), CASES.values(), ids=CASES)
def test_what_is_said_of_a_rule(
    events: list[Event], rules: RuleBook | None, rule: str, words: str
) -> None:
    assert explained(events, rules)[rule] == words


def test_a_period_that_has_ended_since_the_last_sample() -> None:
    said = explained(polled([(0, 70)]), at=after(days=1, hours=4))
    assert said["period"] == "ended at Sun 15:00:00; no sample of a new one yet"
    assert said["sample"] == "70% at Sun 12:00:00 (1d ago)"


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (None, "inactive: too early for a forecast"),
        (0.31, "inactive: 31% likely to be full by the reset; fires from 70% up"),
        (0.9, "pending: so since 12:00:00; fires if that is still true at 12:05:00"),
    ],
)
def test_a_pace_goes_by_the_forecast_once_there_is_one(
    probability: float | None, words: str
) -> None:
    seen = usage(window("7d", 30, END))
    full_at = FullAt(after(hours=1), after(hours=2), after(hours=2.9))
    events: list[Event] = [PollSucceeded(NOW, "a", seen, SECOND)]
    if probability is not None:
        expected = Forecast(probability, full_at if probability > 0.5 else None)
        events.append(Forecasted(NOW, "a", AccountForecast(NOW, {"7d": expected})))
    assert explained(events)["pace"] == words


def test_a_week_says_what_is_unused_and_then_what_expired() -> None:
    book = RuleBook(rules={AlertKind.WEEK_EXPIRED: Rule()})
    ends, later = timedelta(hours=1), timedelta(days=7, hours=1)
    polls = [
        PollSucceeded(at, "a", usage(window("7d", percent, end), at=at), SECOND)
        for at, percent, end in ((NOW, 62, ends), (after(hours=1, minutes=2), 1, later))
    ]
    assert explained([], book).get("week_expired") is None
    assert explained(polls[:1])["week_expired"] == "silent: the rule is off"
    assert (
        explained(polls[:1], book)["week_expired"] == "fires after 13:00:00: 38% is unused so far"
    )
    said = explained(polls, book)["week_expired"]
    assert said == "38% expired at 13:00:00: sent at 13:12:00"
    said = explained([*polls, Ticked(after(hours=1, minutes=12))], book)["week_expired"]
    assert said == "fired at 13:12:00; fires after 29 Nov 13:00:00: 99% is unused so far"


def test_the_windows_each_have_their_block_and_one_can_be_chosen() -> None:
    seen = usage(window("5h", 70, END), window("7d", 20, timedelta(days=3)))
    reached, _ = after_events([PollSucceeded(NOW, "a", seen, SECOND)], RuleBook())
    account = reached.accounts["a"]
    all_of_it = explain(account, RuleBook(), NOW, zone=UTC)
    assert [line for line in all_of_it if not line.startswith("  ")] == [
        "a  5h",
        "",
        "a  7d",
        "",
        "a",
    ]
    assert explain(account, RuleBook(), NOW, window="7d", zone=UTC)[0] == "a  7d"
    assert explain(account, RuleBook(), NOW, window="7d_opus", zone=UTC) == []


def test_all_accounts_together() -> None:
    full = usage(window("5h", 100, END))
    accounts = state(waiting("a"), waiting("b"))
    for name in accounts.accounts:
        accounts, _ = update(accounts, PollSucceeded(NOW, name, full, SECOND))
    assert explain_all(accounts.conditions, RuleBook(), NOW, UTC) == [
        "all accounts",
        "  exhausted       firing: so since 12:00:00, sent at 12:00:00",
        "  exhausted_soon  not firing: condition is false",
    ]
    assert explain_all({}, RuleBook(enabled=False), NOW, UTC)[1:] == [
        "  exhausted       silent: notifications.enabled is false",
        "  exhausted_soon  silent: notifications.enabled is false",
    ]


names = st.sampled_from(["a", "b"])
windows = st.sampled_from(["5h", "7d", "7d_opus"])
rules = st.builds(
    Rule,
    enabled=st.booleans(),
    windows=st.none() | st.lists(windows, min_size=1).map(tuple),
    accounts=st.none() | st.lists(names, min_size=1).map(tuple),
)
kinds_of_windows = (AlertKind.RESET, AlertKind.EARLY_RESET, AlertKind.PACE)
books = st.builds(
    RuleBook,
    rules=st.dictionaries(st.sampled_from(kinds_of_windows), rules),
    overrides=st.dictionaries(
        names, st.builds(Override, silent=st.frozensets(st.sampled_from(kinds_of_windows)))
    ),
    enabled=st.booleans(),
)


@given(books, names, windows)
def test_a_rule_is_called_silent_exactly_where_the_settings_silence_it(
    book: RuleBook, account: str, key: str
) -> None:
    known = replace(waiting(account), alerts={key: WindowMemory(NOW, 0.5, None, 0.5)})
    for line in explain(known, book, NOW, window=key, zone=UTC):
        kind, words = line.split()[0], line.strip().split(maxsplit=1)[-1]
        if kind in set(kinds_of_windows):
            assert words.startswith("silent: ") != book.applies(AlertKind(kind), account, key)
