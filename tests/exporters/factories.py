"""A state with an account in every condition, at any instant: what the golden pages and the dashboard are shown."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from prometheus_client.registry import Collector

from exporters.prometheus import Exposition, Page
from monitor.core.alerts.rules import Alert, AlertKind, Condition, WindowMemory
from monitor.core.errors import Failure, Reason
from monitor.core.exhaustion import FreeAccounts, PoolForecast
from monitor.core.forecast import Forecast, FullAt
from monitor.core.model import (
    Account,
    AccountForecast,
    AccountState,
    Down,
    ExtraUsage,
    Window,
)
from monitor.core.state import NotificationLog, State
from monitor.core.window_cost import WeekCost
from tests.builders import live, state, waiting

HOSTILE = 'sl\\ash "quote" <b>&amp;\nline 😀'


def rich_state(now: datetime) -> State:
    return state(
        healthy(now),
        rate_limited(now),
        logged_out(now),
        waiting("new@example.com"),
        hostile(now),
        logged_in="user@personal.com",
        muted_until=now + timedelta(hours=1),
        notifications=NotificationLog(
            told={("desktop", "threshold"): 3, ("desktop", "reset"): 1, ("bell", "threshold"): 1},
            failed={("desktop", "timeout"): 1},
            last_channel="bell",
            channels=("desktop", "bell"),
            sent_at={"bell": now},
        ),
        loaded_at=now - timedelta(hours=3),
        pool=PoolForecast(
            now - timedelta(seconds=12),
            tuple(
                FreeAccounts(now + timedelta(hours=hours, seconds=-12), 1, 2, 3)
                for hours in (0, 1, 3, 8)
            ),
            0.2,
            now + timedelta(hours=7),
        ),
    )


def healthy(now: datetime) -> AccountState:
    """With a label, a plan, a week of one model and money."""
    known = live(
        "user@personal.com",
        Window("5h", 0.42, now + timedelta(hours=2, minutes=14)),
        Window("7d", 0.18, now + timedelta(days=6, hours=23)),
        Window("7d_opus", 0.03),
        Window("extra", 0.215),
        at=now - timedelta(seconds=12),
        account=Account("user@personal.com", org_id="65f10de7-0000", label="home"),
        plan="max_20x",
        polls=41,
        failures={Reason.CONNECTION: 2},
        poll_duration=timedelta(milliseconds=312),
        requests=tuple(now - timedelta(minutes=9 * n) for n in range(9)),
        token_expires_at=now + timedelta(hours=7),
        login_expires_at=now + timedelta(days=300),
        forecast=AccountForecast(
            now - timedelta(seconds=12),
            {
                "5h": Forecast(0.63, FullAt(*(now + timedelta(minutes=m) for m in (70, 90, 134)))),
                "7d": Forecast(0.04, None),
            },
            WeekCost(0.09, 0.01, 6.5),
            week_expiring=0.35,
        ),
    )
    assert known.usage is not None
    money = ExtraUsage(True, Decimal("21.50"), Decimal("100.00"))
    return replace(known, usage=replace(known.usage, extra_usage=money))


def rate_limited(now: datetime) -> AccountState:
    """Backing off; its figures are old, but not too old."""
    return live(
        "user@client.com",
        Window("5h", 1.04, now + timedelta(minutes=12, seconds=0.7)),
        Window("7d", 0.91, now + timedelta(days=2, hours=6)),
        at=now - timedelta(minutes=10),
        plan="pro",
        down=Down(
            now - timedelta(minutes=5), Failure(Reason.RATE_LIMITED, detail="too many requests")
        ),
        next_poll_at=now + timedelta(minutes=25),
        backoff_until=now + timedelta(minutes=25),
        interval=timedelta(minutes=30),
        polls=30,
        failures={Reason.RATE_LIMITED: 1},
        poll_duration=timedelta(milliseconds=95),
        requests=(now - timedelta(minutes=5),),
        alerts={
            "5h": told(1.04, now + timedelta(minutes=12, seconds=0.7), 0.8, 0.95, 1.0),
            "7d": told(0.91, now + timedelta(days=2, hours=6), 0.8),
        },
    )


def logged_out(now: datetime) -> AccountState:
    """Nobody has logged in for hours: its figures are too old to be exported."""
    return live(
        "user@work.com",
        Window("5h", 0.87, now + timedelta(minutes=38)),
        Window("7d", 0.65, now + timedelta(days=4, hours=11)),
        at=now - timedelta(hours=2),
        plan="team",
        down=Down(now - timedelta(hours=2), Failure(Reason.AUTH, detail="the token has expired")),
        next_poll_at=now + timedelta(minutes=3),
        backoff_until=now - timedelta(minutes=1),
        polls=60,
        failures={Reason.AUTH: 40},
        token_expires_at=now - timedelta(hours=2),
        conditions={
            "login:": Condition(
                now - timedelta(hours=2),
                told_at=now,
                alert=Alert(AlertKind.LOGIN, "user@work.com", "", now - timedelta(hours=2)),
            )
        },
    )


def told(utilization: float, resets_at: datetime, *thresholds: float) -> WindowMemory:
    """What is remembered of a window whose thresholds these have spoken."""
    at = resets_at - timedelta(hours=3)
    return WindowMemory(at, utilization, resets_at, utilization, frozenset(thresholds))


def hostile(now: datetime) -> AccountState:
    """A name with every character that needs escaping, and a 5-hour window whose reset has just passed."""
    return live(
        HOSTILE,
        Window("5h", 0.99, now - timedelta(seconds=40)),
        Window("7d", 0.96, now + timedelta(days=1)),
        Window("7d_fable", 0.8, now + timedelta(days=1)),
        at=now - timedelta(seconds=100),
        alerts={"7d": told(0.96, now + timedelta(days=1), 0.8, 0.95)},
    )


def render(
    state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
) -> tuple[bytes, str]:
    """The page of a first scrape, and its content type."""
    page = next_page(Exposition(), state, now, accept, others)
    return page.body(), page.content_type


def next_page(
    exposition: Exposition,
    state: State,
    now: datetime,
    accept: str = "application/openmetrics-text",
    others: Iterable[Collector] = (),
) -> Page:
    for _ in exposition.steps(state, now):
        pass
    return exposition.page(now, accept, others)
