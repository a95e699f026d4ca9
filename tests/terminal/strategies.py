"""Strategies for what comes from outside: names, details and numbers that nobody would choose in good faith."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import Cause, Failure, Reason, Source
from monitor.core.model import (
    Account,
    AccountState,
    AuthMethod,
    Down,
    ExtraUsage,
    Usage,
    Window,
)
from monitor.core.state import LoggedAlert, NotificationLog, State
from monitor.terminal.screen import Screen
from monitor.terminal.tty import Key
from tests.builders import NOW

_TRICKS = (
    "\x1b[2J", "\x1b]0;x\x07", "\x9b1m", "\u202e", "\u200d", "\ufe0f", "👩‍👩‍👧", "🇯🇵", "日本", "e\u0301\u0301",
    "ｗ", "\ud800", "\U000e0041", "한", "\u1160", "क्ष", "\t", "\n", "█", "\x00", "~", "a" * 400,
)  # fmt: skip
texts = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(_TRICKS), max_size=8).map("".join))
instants = st.one_of(
    st.timedeltas(-timedelta(days=9), timedelta(days=9)).map(lambda span: NOW + span),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
)
ratios = st.one_of(st.floats(0, 1.5), st.floats())
windows = st.builds(
    Window,
    key=st.one_of(st.sampled_from(["5h", "7d", "7d_opus"]), texts),
    utilization=ratios,
    resets_at=st.none() | instants,
    locked_reason=st.none() | texts,
)
money = st.none() | st.decimals(0, 10**6, places=2) | st.sampled_from([Decimal("NaN")])
usages = st.builds(
    Usage,
    at=instants,
    windows=st.lists(windows, max_size=5).map(tuple),
    extra_usage=st.none()
    | st.builds(ExtraUsage, enabled=st.booleans(), used=money, limit=money, currency=texts),
)
failures = st.builds(
    Failure,
    st.sampled_from(Reason),
    st.none() | st.sampled_from(Cause),
    st.none() | st.sampled_from(Source),
    name=texts,
    folder=st.none() | texts,
    owner=st.none() | texts,
    detail=texts,
)
accounts = st.builds(
    AccountState,
    account=st.builds(
        Account,
        name=texts,
        org_id=texts,
        auth_method=st.sampled_from(AuthMethod),
        label=st.none() | texts,
    ),
    next_poll_at=instants,
    interval=st.just(timedelta(seconds=180)),
    usage=st.none() | usages,
    down=st.none() | st.builds(Down, since=instants, failure=failures),
    last_success_at=st.none() | instants,
    polling=st.booleans(),
    requests=st.lists(instants, max_size=3).map(tuple),
    failures_in_a_row=st.integers(0, 9),
    backoff_until=st.none() | instants,
    plan=st.none() | texts,
    token_expires_at=st.none() | instants,
    login_expires_at=st.none() | instants,
)


entries = st.builds(
    LoggedAlert,
    st.builds(
        Alert,
        kind=st.sampled_from(AlertKind),
        account=texts,
        window=texts,
        at=instants,
        utilization=st.floats(),
        threshold=st.none() | st.floats(0, 1),
        resets_at=st.none() | instants,
        detail=texts,
    ),
    fired_at=instants,
    is_sent=st.booleans(),
    outcome=texts,
)


def _state(
    found: list[AccountState], active: int, outcomes: NotificationLog, log: list[LoggedAlert]
) -> State:
    named = {each.account.name: each for each in found}
    return State(
        accounts=named,
        active=active,
        logged_in=next(iter(named), None),
        notifications=outcomes,
        log=tuple(log),
    )


states = st.builds(
    _state,
    st.lists(accounts, max_size=6),
    st.integers(-1, 7),
    st.builds(NotificationLog, last_channel=st.none() | texts, last_failure=st.none() | texts),
    st.lists(entries, max_size=4),
)
_NAMED_KEYS = (
    "up", "down", "left", "right", "home", "end", "pgup", "pgdn", "enter", "esc", "tab", "backtab",
    "backspace", "delete", "ctrl+u", "ctrl+w", "ctrl+l", "ctrl+x",
)  # fmt: skip
keys = st.one_of(
    st.sampled_from(_NAMED_KEYS).map(Key),
    st.sampled_from("jkgGrRisaedxlocz/? yYnN").map(lambda char: Key(char, char)),
    texts.map(lambda text: Key("paste", text)),
)
screens = st.builds(Screen, selected=st.none() | texts, place=st.integers(0, 9))
