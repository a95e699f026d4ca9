"""Events: each carries its own instant, and whatever chance its handling needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.core.alerts.rules import Alert, Condition
from monitor.core.errors import Failure
from monitor.core.exhaustion import PoolForecast
from monitor.core.model import Account, AccountForecast, AccountState, Identity, Usage
from monitor.core.state import LoggedAlert, Policy


@dataclass(frozen=True, slots=True)
class Timed:
    """The base of all events: each happened at an instant."""

    at: datetime


@dataclass(frozen=True, slots=True)
class OfAccount(Timed):
    """The base of those about one account; where it is not in the state, or not any more, nothing changes."""

    account: str


@dataclass(frozen=True, slots=True)
class Restored(Timed):
    """An earlier process has saved these accounts, by name, and the conditions and alerts of all of them.

    Comes before any accounts are loaded.
    """

    accounts: Mapping[str, AccountState]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    log: tuple[LoggedAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyChanged(Timed):
    """The settings were read, at the start or again."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class ReloadFailed(Timed):
    """The settings were read again and are wrong: those before stay."""


@dataclass(frozen=True, slots=True)
class ChannelsReplaced(Timed):
    """Alerts are sent by these channels from now on."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountsLoaded(Timed):
    """The accounts of the settings, at start and after each edit. `renamed` maps an old name to the new one."""

    accounts: tuple[Account, ...]
    active: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountIdentified(OfAccount):
    """It became known whose account it is, and its plan where that was said."""

    identity: Identity | None
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialSeen(OfAccount):
    """An account's credential was read or replaced; `renewed` says that it differs from the one before.

    `login_expires_at` is when Claude Code's own login ends, `config_dir` its folder that the credential came from:
    None where there is none, or none that is known.
    """

    token_expires_at: datetime | None
    login_expires_at: datetime | None = None
    renewed: bool = False
    config_dir: str | None = None


@dataclass(frozen=True, slots=True)
class LoginSeen(Timed):
    """Claude Code would use this account now; None where its login is none of ours."""

    account: str | None


@dataclass(frozen=True, slots=True)
class RefreshRequested(Timed):
    """The user wants new figures, of one account or (None) of all."""

    account: str | None = None


@dataclass(frozen=True, slots=True)
class PollStarted(OfAccount):
    """A poll of the account is under way: its credential is being read."""


@dataclass(frozen=True, slots=True)
class RequestsCounted(OfAccount):
    """All processes have sent these requests within the hour, and the server wants us to wait until then."""

    requests: tuple[datetime, ...]
    backoff_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PollPostponed(OfAccount):
    """A poll sent nothing, since that would have been one request too many: it comes when it may."""


@dataclass(frozen=True, slots=True)
class RequestSent(OfAccount):
    """A request for the account's usage is about to leave."""


@dataclass(frozen=True, slots=True)
class PollSucceeded(OfAccount):
    """Usage was fetched. `jitter` is a random number in [0, 1) for the next due time."""

    usage: Usage
    duration: timedelta
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class FiguresSeen(OfAccount):
    """Claude Code's status line has said figures of the account, which may be those of an older answer.

    `usage.at` is when it said so; a window that it does not name is not thereby gone.
    """

    usage: Usage


@dataclass(frozen=True, slots=True)
class AnswerSeen(OfAccount):
    """Claude Code has kept a whole answer of the usage API, which it got at `usage.at`."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class PollFailed(OfAccount):
    """A poll brought no usage."""

    failure: Failure
    duration: timedelta | None = None
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecasted(OfAccount):
    """A forecast was computed of an account, and of all together; `forecast.at` is the instant of its sample."""

    forecast: AccountForecast
    pool: PoolForecast | None = None


@dataclass(frozen=True, slots=True)
class LookedAround(Timed):
    """All that can be known without the API was looked for once, and may have been nothing."""


@dataclass(frozen=True, slots=True)
class Notified(Timed):
    """One channel has sent `alerts`, as one of this kind, or (`failure` is a short reason word) could not."""

    channel: str
    kind: str
    failure: str | None = None
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Tested(Timed):
    """A test alert is about to be sent by every channel."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class StorageFailed(Timed):
    """The state database cannot be written, for this reason; None says that it can again."""

    detail: str | None


@dataclass(frozen=True, slots=True)
class Ticked(Timed):
    """Time has passed: what lasts may have lasted long enough to be told."""


@dataclass(frozen=True, slots=True)
class Muted(Timed):
    """The user wants no alerts until then; None ends it."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class ClockStepped(Timed):
    """The wall clock was set by this much against the time that really passed; negative is back."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class ClockCorrected(Timed):
    """The API tells another time than the machine: this is what is added to the machine's from now on."""

    offset: timedelta


AccountEvent = (
    AccountIdentified
    | CredentialSeen
    | PollStarted
    | RequestsCounted
    | PollPostponed
    | RequestSent
    | PollSucceeded
    | FiguresSeen
    | AnswerSeen
    | PollFailed
    | Forecasted
)

Event = (
    AccountEvent
    | Restored
    | PolicyChanged
    | ReloadFailed
    | ChannelsReplaced
    | AccountsLoaded
    | LoginSeen
    | RefreshRequested
    | LookedAround
    | Notified
    | Tested
    | StorageFailed
    | Ticked
    | Muted
    | ClockStepped
    | ClockCorrected
)
