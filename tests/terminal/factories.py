"""The states that screens are drawn of, each at an instant of its own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

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
from monitor.core.state import State


def span(text: str) -> timedelta:
    """`6d 23h` as a duration."""
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    return timedelta(**{units[part[-1]]: int(part[:-1]) for part in text.split()})


def window(now: datetime, key: str, percent: float, resets_in: str) -> Window:
    return Window(key, percent / 100, now + span(resets_in) if resets_in else None)


def account(
    now: datetime, name: str, *windows: tuple[str, float, str], age: str = "12s", **changes: object
) -> AccountState:
    """An account whose newest numbers are of this age; a window is its key, percentage and time to the reset."""
    at = now - span(age)
    state = AccountState(
        account=Account(name, org_id="65f10de7-0000-4000-8000-000000000001"),
        next_poll_at=at + timedelta(seconds=180),
        interval=timedelta(seconds=180),
        usage=Usage(at, tuple(window(now, *each) for each in windows)),
        last_success_at=at,
        requests=(at,),
        polls=1,
    )
    return replace(state, **changes)  # type: ignore[arg-type]  # a test's free choice of fields


def down(
    now: datetime, state: AccountState, failure: Failure | Reason, **changes: object
) -> AccountState:
    """The same account, failing since a minute ago."""
    failing = Down(
        now - timedelta(minutes=1), failure if isinstance(failure, Failure) else Failure(failure)
    )
    return replace(state, down=failing, failures_in_a_row=1, **changes)  # type: ignore[arg-type]


def state_of(*accounts: AccountState, **changes: object) -> State:
    state = State(accounts={each.account.name: each for each in accounts})
    return replace(state, **changes)  # type: ignore[arg-type]


def three(now: datetime) -> State:
    """The three accounts of the picture in the README."""
    return state_of(
        account(now, "user@personal.com", ("5h", 42, "2h 14m"), ("7d", 18, "6d 23h")),
        account(now, "user@work.com", ("5h", 87, "38m"), ("7d", 65, "4d 11h"), age="30s"),
        account(now, "user@client.com", ("5h", 100, "12m"), ("7d", 91, "2d 6h"), age="45s"),
        logged_in="user@personal.com",
    )


def full(now: datetime, name: str = "user@work.com") -> AccountState:
    """An account of which everything is known, and which fails."""
    healthy = account(
        now,
        name,
        ("5h", 87.4, "38m 5s"),
        ("7d", 65, "4d 11h"),
        ("7d_opus", 12, "4d 11h"),
        ("7d_fable", 0.4, "4d 11h"),
        age="14m",
        plan="max_20x",
        token_expires_at=now + span("7h 59m"),
        login_expires_at=now + span("19d"),
        backoff_until=now + span("25m"),
        next_poll_at=now + span("25m"),
        requests=tuple(now - span(f"{m}m") for m in (55, 40, 14, 1)),
    )
    usage = replace(
        healthy.usage or Usage(now),
        extra_usage=ExtraUsage(True, Decimal("12.40"), Decimal(50), "USD"),
    )
    failing = down(now, healthy, Reason.RATE_LIMITED)
    labelled = replace(failing.account, label="work")
    return replace(failing, usage=usage, account=labelled, failures_in_a_row=3)


def mixed(now: datetime) -> State:
    """One account for each condition."""
    both = (("5h", 42.0, "2h 14m"), ("7d", 18.0, "6d 23h"))
    key = Account("key@session.com", "org", AuthMethod.SESSION_KEY)
    return state_of(
        account(now, "logged.in@work.com", *both, age="5m"),
        full(now, "limited@work.com"),
        down(
            now,
            account(now, "expired@work.com", *both, age="3h"),
            Failure(Reason.AUTH, Cause.WAITING, folder="/home/me/.claude-work"),
        ),
        down(now, account(now, "offline@work.com", *both, age="10m"), Reason.CONNECTION),
        down(
            now,
            account(now, "locked@work.com", *both, age="1m"),
            Failure(Reason.CREDENTIALS, Cause.LOCKED, Source.KEYRING),
        ),
        replace(account(now, "waiting@work.com"), usage=None, last_success_at=None),
        account(now, "reset@work.com", ("5h", 65, "0s"), ("7d", 91, "2d 6h"), age="40m"),
        account(now, "no.limits@enterprise.com", age="20s"),
        down(now, account(now, key.name, *both, account=key), Reason.CHALLENGE),
        account(
            now, "日本語のアカウント@example.jp", ("5h", 0, ""), ("7d", 0.3, "6d 1h"), age="90s"
        ),
        logged_in="logged.in@work.com",
        active=1,
    )


def many(count: int) -> Callable[[datetime], State]:
    def build(now: datetime) -> State:
        return state_of(
            *(
                account(
                    now,
                    f"user{number:02}@example.com",
                    ("5h", number * 37 % 101, f"{number % 5}h {number * 7 % 60}m"),
                    ("7d", number * 11 % 101, f"{number % 7}d {number % 24}h"),
                    age=f"{number * 5}s",
                )
                for number in range(1, count + 1)
            ),
            logged_in="user03@example.com",
            active=1,
        )

    return build


STATES: dict[str, Callable[[datetime], State]] = {
    "three": three,
    "mixed": mixed,
    "five": many(5),
    "twenty": many(20),
    "hundred": many(100),
    "none": lambda _now: State(),
}
