"""The values that everything else speaks of. Ratios for utilization, aware UTC datetimes for instants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from monitor.core.alerts.rules import Condition, WindowMemory
from monitor.core.errors import Failure, Reason
from monitor.core.forecast import Forecast
from monitor.core.window_cost import WeekCost

FIVE_HOURS: Final = "5h"
SEVEN_DAYS: Final = "7d"
EXTRA: Final = "extra"
"""Money: credits spent of a limit. It has no length, and no reset that anybody tells."""

WINDOW: Final = timedelta(hours=5)
WEEK: Final = timedelta(days=7)
_DURATIONS: Final = {FIVE_HOURS: WINDOW, SEVEN_DAYS: WEEK}

LONGEST_EXPECTED: Final = WEEK
"""A window of unknown length is expected to be empty for so long after its reset."""

SAME_PERIOD: Final = timedelta(hours=1)
"""The ends that are told of one period lie closer together than this."""

LIVE_FOR: Final = timedelta(minutes=2)
"""Usage fetched within this time is called live."""

FORECAST_WITHIN: Final = timedelta(seconds=2)
"""A forecast is computed within this time of its sample; until then the one before it is shown."""

PROFILE_SCOPE: Final = "user:profile"
"""The scope that a token needs in order to ask for usage."""

DEAD_BEFORE: Final = timedelta(seconds=60)
"""A credential this close to its end is as good as dead."""


class AuthMethod(StrEnum):
    """The ways to authorize an account's requests; the words of the settings file."""

    OAUTH = "oauth"
    SESSION_KEY = "session_key"


class Storage(StrEnum):
    """The suppliers of an account's token; the words of the settings file.

    `LINKED` is Claude Code's own place, read live and never copied; `SYSTEMD` is `$CREDENTIALS_DIRECTORY`.
    """

    KEYRING = "keyring"
    LINKED = "linked"
    SYSTEMD = "systemd"
    COMMAND = "command"


class Secret:
    """A token or session key that shows itself to the caller of `reveal` alone: no repr, log or traceback has it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True, slots=True)
class Credential:
    """Authorizes one request. `expires_at` is None where it is not known.

    One that is not `proven` may be another account's: the answer has to name the account's organization.
    """

    secret: Secret
    auth_method: AuthMethod = AuthMethod.OAUTH
    expires_at: datetime | None = None
    proven: bool = True

    def is_dead(self, now: datetime) -> bool:
        """True if it has ended or ends before an answer could come: a token known to be dead is never sent."""
        return self.expires_at is not None and self.expires_at - now <= DEAD_BEFORE

    @property
    def freshness(self) -> datetime:
        """The end of the token, by which tokens of one account are compared; long ago where it is not known."""
        return self.expires_at or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Login:
    """One login as Claude Code keeps it, less its refresh token; `login_expires_at` is when that ends.

    `renewable` says whether there is a refresh token at all.
    """

    credential: Credential
    login_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    plan: str | None = None
    renewable: bool = True

    @property
    def is_setup_token(self) -> bool:
        """True if it is one of `claude setup-token`, which may be used for work but may not ask for usage."""
        return PROFILE_SCOPE not in self.scopes if self.scopes else not self.renewable


@dataclass(frozen=True, slots=True)
class Account:
    """One login that is watched, as the settings name it. `org_id` is empty where it is not known yet.

    Without a `storage` its token is looked for where one can be had. `config_dir` is Claude Code's folder as the
    user spells it; `token_command` is the argv of a program that prints the token. `reserve` is the share of its week
    that is left to others.
    """

    name: str
    org_id: str = ""
    auth_method: AuthMethod = AuthMethod.OAUTH
    label: str | None = None
    storage: Storage | None = None
    config_dir: str | None = None
    token_command: tuple[str, ...] = ()
    reserve: float = 0.0

    @property
    def title(self) -> str:
        """The account's name in metrics."""
        return self.label or self.name

    def has_limits_of(self, org_id: str) -> bool:
        """Return whether this organization is the account's, whose name may have stood for another one before.

        An empty id fits every account.
        """
        return org_id in ("", self.org_id)


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of the usage: one person may have several organizations, and each is an account of its own."""

    account_uuid: str
    org_uuid: str


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile API's word on a token. `plan` is a short word such as `max_20x`, `pro`, `team`."""

    identity: Identity
    email: str
    organization_name: str = ""
    plan: str | None = None


def plan_word(kind: object, tier: object) -> str | None:
    """Name a plan by its type and its rate limit's tier: `max_20x`, `pro`, `team`; None where neither says.

    The API and Claude Code's files write the type with and without `claude_` before it, and the tier in versions.
    """
    name = _plain(kind).removeprefix("claude_")
    limit = re.sub(r"^(?:v[0-9]+_)?(?:default_)?(?:claude_)?", "", _plain(tier))
    if name in ("", "max") and re.fullmatch(r"max_[0-9]+x", limit):
        return limit
    return name or ("pro" if limit == "ai" else limit) or None


def _plain(word: object) -> str:
    text = "_".join(word.lower().split()) if isinstance(word, str) else ""
    return text if re.fullmatch(r"[a-z0-9_.-]{1,40}", text) else ""


@dataclass(frozen=True, slots=True)
class Window:
    """One limit. `utilization` is a ratio and may exceed 1; `resets_at` is None while no window is open.

    `confirmed` is false for a value that no poll has said: the 0 that is expected once `resets_at` has passed.
    `sliding_end` is the end that the API names of a window that is not open, and moves with the clock.
    """

    key: str
    utilization: float
    resets_at: datetime | None = None
    locked_reason: str | None = None
    confirmed: bool = True
    sliding_end: datetime | None = None

    def at(self, now: datetime) -> "Window | None":
        """Show the window at `now`: empty once its reset has passed; None once the next one may have ended as well."""
        if self.resets_at is None or now < self.resets_at:
            return self
        if now - self.resets_at >= (window_duration(self.key) or LONGEST_EXPECTED):
            return None
        return Window(self.key, 0.0, confirmed=False)

    def resets_in(self, now: datetime) -> timedelta | None:
        """Time until the reset, never negative; None while no window is open."""
        if self.resets_at is None:
            return None
        return max(self.resets_at - now, timedelta(0))


def window_duration(key: str) -> timedelta | None:
    """Length of the window with this key: `5h`, `7d`, or one of a model such as `7d_opus`; None for any other."""
    return _DURATIONS.get(key.partition("_")[0])


@dataclass(frozen=True, slots=True)
class ExtraUsage:
    """Pay-as-you-go usage on top of the plan. Money is in whole units of `currency`; a limit of None is unlimited."""

    enabled: bool
    used: Decimal | None = None
    limit: Decimal | None = None
    currency: str = "USD"

    @property
    def is_limited(self) -> bool:
        """True if it is a limit, and a window `extra` stands for it."""
        return self.enabled and self.limit is not None and self.limit > 0


@dataclass(frozen=True, slots=True)
class Usage:
    """One account's windows at one moment. A limit that the plan does not have is absent.

    `left_out` names, in short words, what the answer held besides and could not be read.
    """

    at: datetime
    windows: tuple[Window, ...] = ()
    extra_usage: ExtraUsage | None = None
    left_out: tuple[str, ...] = ()

    def window(self, key: str) -> Window | None:
        return next((window for window in self.windows if window.key == key), None)


@dataclass(frozen=True, slots=True)
class AccountForecast:
    """Forecasts of an account after its sample of `at`; it is too early to say of a window that is left out.

    `week_expiring` is the share of the week that most likely is unused at its reset. `points_per_hour` is how fast a
    5-hour window is used while somebody works, and `hourly` what is expected of each of the coming 48 hours, in points.
    `trends` has the highest utilization in each of equal slices of the last length of a window; None where unknown.
    """

    at: datetime
    windows: Mapping[str, Forecast] = field(default_factory=dict)
    week_cost: WeekCost | None = None
    week_expiring: float | None = None
    points_per_hour: float | None = None
    hourly: tuple[float, ...] = ()
    trends: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Down:
    """Polls fail, since this instant; `failure` is the newest one."""

    since: datetime
    failure: Failure


LOGIN_REASONS: Final = frozenset({Reason.AUTH, Reason.SCOPE})


class AccountStatus(StrEnum):
    """An account's condition in one word; the words of the JSON document."""

    LIVE = "live"
    STALE = "stale"
    WAITING = "waiting"
    FAILING = "failing"


def fresh_for(interval: timedelta) -> timedelta:
    """Return the age up to which usage is exported, by the interval of the settings, which no back-off prolongs."""
    return max(3 * interval, timedelta(minutes=15))


@dataclass(frozen=True, slots=True)
class AccountState:
    """All that is known of one account.

    `next_poll_at` is when it is due; `interval` the time between polls, back-off included; `backoff_until`
    the instant before which nothing is sent, whoever asks. `requests` are the instants of the requests of the
    last 60 minutes. `phase` (0..1) is the account's place within the interval. `alerts` is the alert machine's memory.
    `config_dir` is Claude Code's folder that the login was last seen in, as it was spelled: "" is the default
    place, None that it was seen nowhere. `used_at` is when its 5-hour window was last seen to have risen.
    """

    account: Account
    next_poll_at: datetime
    interval: timedelta
    phase: float = 0.0
    usage: Usage | None = None
    down: Down | None = None
    last_success_at: datetime | None = None
    used_at: datetime | None = None
    polling: bool = False
    requests: tuple[datetime, ...] = ()
    polls: int = 0
    failures: Mapping[Reason, int] = field(default_factory=dict)
    failures_in_a_row: int = 0
    poll_duration: timedelta | None = None
    backoff_until: datetime | None = None
    throttled_at: datetime | None = None
    identity: Identity | None = None
    plan: str | None = None
    token_expires_at: datetime | None = None
    login_expires_at: datetime | None = None
    config_dir: str | None = None
    alerts: Mapping[str, WindowMemory] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    forecast: AccountForecast | None = None

    @property
    def org_id(self) -> str:
        """The organization of the settings, else that of the login; empty while it is not known."""
        return self.account.org_id or (self.identity.org_uuid if self.identity else "")

    @property
    def login_required(self) -> bool:
        """True if only a new login helps."""
        failure = self.down.failure if self.down else None
        return failure is not None and failure.reason in LOGIN_REASONS and not failure.renewable

    def status(self, now: datetime) -> AccountStatus:
        if self.down is not None:
            return AccountStatus.FAILING
        if self.last_success_at is None:
            return AccountStatus.WAITING
        return AccountStatus.LIVE if now - self.last_success_at <= LIVE_FOR else AccountStatus.STALE

    def windows(self, now: datetime) -> tuple[Window, ...]:
        """Show the account's windows at `now`; empty before the first success."""
        windows = self.usage.windows if self.usage else ()
        return tuple(shown for window in windows if (shown := window.at(now)) is not None)

    def window(self, key: str, now: datetime) -> Window | None:
        return next((window for window in self.windows(now) if window.key == key), None)

    @property
    def forecast_is_due(self) -> bool:
        """True if there is a newer sample than that of the forecast."""
        return self.usage is not None and (
            self.forecast is None or self.forecast.at < self.usage.at
        )

    def newest_forecast(self, now: datetime) -> AccountForecast | None:
        """Return the forecast of the newest sample or, for a moment, of the one before; None where there is none."""
        is_late = self.usage is not None and now - self.usage.at > FORECAST_WITHIN
        return None if self.forecast_is_due and is_late else self.forecast

    def forecast_of(self, key: str, now: datetime) -> Forecast | None:
        """Return the forecast of the window that is open at `now`; None where none is, or it is too early to say."""
        window, expected = self.window(key, now), self.newest_forecast(now)
        found = expected.windows.get(key) if expected else None
        if window is None or window.resets_at is None or found is None:
            return None
        ends = found.distribution.resets_at if found.distribution else window.resets_at
        return found if abs(ends - window.resets_at) < SAME_PERIOD else None

    def values_are_fresh(self, now: datetime, interval: timedelta) -> bool:
        """Return whether the usage is young enough to be exported."""
        if self.last_success_at is None:
            return False
        return now - self.last_success_at <= fresh_for(interval)

    def shift(self, by: timedelta) -> "AccountState":
        """Move its instants, for a clock that was set by this much; those that the server named stay."""
        if not by:
            return self
        return replace(
            self,
            next_poll_at=self.next_poll_at + by,
            backoff_until=self.backoff_until and self.backoff_until + by,
            throttled_at=self.throttled_at and self.throttled_at + by,
            last_success_at=self.last_success_at and self.last_success_at + by,
            used_at=self.used_at and self.used_at + by,
            usage=self.usage and replace(self.usage, at=self.usage.at + by),
            forecast=self.forecast and replace(self.forecast, at=self.forecast.at + by),
            requests=tuple(at + by for at in self.requests),
            alerts={key: memory.shift(by) for key, memory in self.alerts.items()},
            conditions={key: c.shift(by) for key, c in self.conditions.items()},
        )
