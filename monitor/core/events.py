"""What can happen. Each event carries its own instant, and whatever chance its handling needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.core.alerts.memory import Condition
from monitor.core.effects import Alert
from monitor.core.errors import Failure
from monitor.core.exhaustion import PoolForecast
from monitor.core.model import Account, AccountForecast, AccountState, Identity, Usage
from monitor.core.restore import Remembered
from monitor.core.state import LoggedAlert, Policy


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an earlier process remembered of its accounts, by name, and of all together; before anything is polled."""

    at: datetime
    accounts: Mapping[str, Remembered]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    log: tuple[LoggedAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """What an earlier process knew of its accounts: figures, health, due times, requests; before they are loaded."""

    at: datetime
    accounts: Mapping[str, AccountState]


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The settings were read, at the start or again."""

    at: datetime
    policy: Policy


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """The settings were read again and are wrong: those before stay."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ChannelsReplaced:
    """Alerts are sent by these channels from now on."""

    at: datetime
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountsLoaded:
    """The accounts of the settings, at start and after each edit. `renamed` maps an old name to the new one."""

    at: datetime
    accounts: tuple[Account, ...]
    active: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountIdentified:
    """It became known whose account it is, and its plan where that was said."""

    at: datetime
    account: str
    identity: Identity | None
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialSeen:
    """An account's credential was read or replaced; `renewed` says that it differs from the one before.

    `login_expires_at` is when Claude Code's own login ends, `config_dir` its folder that the credential came from:
    None where there is none, or none that is known.
    """

    at: datetime
    account: str
    token_expires_at: datetime | None
    login_expires_at: datetime | None = None
    renewed: bool = False
    config_dir: str | None = None


@dataclass(frozen=True, slots=True)
class LoginSeen:
    """Which account Claude Code would use now; None where that is none of ours."""

    at: datetime
    account: str | None


@dataclass(frozen=True, slots=True)
class RefreshRequested:
    """The user wants new figures, of one account or (None) of all."""

    at: datetime
    account: str | None = None


@dataclass(frozen=True, slots=True)
class PollStarted:
    """A poll of the account is under way: its credential is being read."""

    at: datetime
    account: str


@dataclass(frozen=True, slots=True)
class RequestsCounted:
    """What all processes have sent for the account within the hour, and until when the server wants us to wait."""

    at: datetime
    account: str
    requests: tuple[datetime, ...]
    backoff_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PollPostponed:
    """A poll sent nothing, since that would have been one request too many: it comes when it may."""

    at: datetime
    account: str


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request for the account's usage is about to leave."""

    at: datetime
    account: str


@dataclass(frozen=True, slots=True)
class PollSucceeded:
    """Usage was fetched. `jitter` is a random number in [0, 1) for the next due time."""

    at: datetime
    account: str
    usage: Usage
    duration: timedelta
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class FiguresSeen:
    """Claude Code's status line has said figures of the account, which may be those of an older answer.

    `usage.at` is when it said so; a window that it does not name is not thereby gone.
    """

    at: datetime
    account: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class AnswerSeen:
    """Claude Code has kept a whole answer of the usage API, which it got at `usage.at`."""

    at: datetime
    account: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A poll brought no usage."""

    at: datetime
    account: str
    failure: Failure
    duration: timedelta | None = None
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecasted:
    """What is expected of an account was computed anew, and of all together; `forecast.at` is its sample's instant."""

    at: datetime
    account: str
    forecast: AccountForecast
    pool: PoolForecast | None = None


@dataclass(frozen=True, slots=True)
class LookedAround:
    """Where the API is not asked: whatever else there is to know was looked for once, and may have been nothing."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Notified:
    """One channel has sent `alerts`, as one of this kind, or (`failure` is a short reason word) could not."""

    at: datetime
    channel: str
    kind: str
    failure: str | None = None
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Tested:
    """A test alert is about to be sent by every channel."""

    at: datetime
    alert: Alert


@dataclass(frozen=True, slots=True)
class StorageFailed:
    """The state database cannot be written, for this reason; None says that it can again."""

    at: datetime
    detail: str | None


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed: what lasts may have lasted long enough to be told."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Muted:
    """The user wants no alerts until then; None ends it."""

    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The wall clock was set by this much against the time that really passed; negative is back."""

    at: datetime
    by: timedelta


@dataclass(frozen=True, slots=True)
class ClockCorrected:
    """The API tells another time than the machine: this is what is added to the machine's from now on."""

    at: datetime
    offset: timedelta


Event = (
    Recalled
    | Restored
    | PolicyChanged
    | ReloadFailed
    | ChannelsReplaced
    | AccountsLoaded
    | AccountIdentified
    | CredentialSeen
    | LoginSeen
    | RefreshRequested
    | PollStarted
    | RequestsCounted
    | PollPostponed
    | RequestSent
    | PollSucceeded
    | FiguresSeen
    | AnswerSeen
    | PollFailed
    | Forecasted
    | LookedAround
    | Notified
    | Tested
    | StorageFailed
    | Ticked
    | Muted
    | ClockStepped
    | ClockCorrected
)
