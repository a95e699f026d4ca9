"""The state as plain JSON values and back: what viewers are shown, and what a successor takes up. Pure.

Left out are the alert machine's memory, the rule book, and the argv of a token's program, which may be private.
Instants are microseconds since the epoch, durations microseconds. Unknown keys are ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from monitor.core.codec import decode, encode
from monitor.core.errors import Failure, Reason
from monitor.core.model import (
    Account,
    AccountState,
    AuthMethod,
    Down,
    ExtraUsage,
    Health,
    Identity,
    Storage,
    Unpolled,
    Up,
    Usage,
    Window,
)
from monitor.core.policy import Policy
from monitor.core.state import NotificationLog, State

Json = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


def render_state(state: State) -> Json:
    accounts = [render_account(account) for account in state.accounts.values()]
    return {**_beside_accounts(state), "accounts": accounts}


def render_change(before: State, after: State) -> Json:
    """What has to be told of a state to who knows the one before, or one between them; maybe all of it."""
    if list(before.accounts) != list(after.accounts):
        return render_state(after)
    changed = [new for name, new in after.accounts.items() if new is not before.accounts[name]]
    return {**_beside_accounts(after), "changed": [render_account(account) for account in changed]}


def _beside_accounts(state: State) -> Json:
    return _known(
        interval=_ticks(state.policy.interval),
        active=state.active,
        logged_in=state.logged_in,
        notifications=_log(state.notifications),
        muted_until=_instant(state.muted_until),
        storage_failure=state.storage_failure,
    )


def parse_state(document: Json) -> State:
    """Raises ValueError, TypeError or KeyError where the document is not one of ours."""
    with _expected_errors():
        return _parsed(document, _parse_accounts(document["accounts"]))


def parse_change(document: Json, before: State) -> State:
    """The state after the change, or after a whole state. Raises ValueError, TypeError or KeyError."""
    if "changed" not in document:
        return parse_state(document)
    with _expected_errors():
        return _parsed(document, {**before.accounts, **_parse_accounts(document["changed"])})


def _parse_accounts(values: Sequence[Json]) -> Mapping[str, AccountState]:
    accounts = [_parse_account_state(value) for value in values]
    return {account.account.name: account for account in accounts}


def _parsed(document: Json, accounts: Mapping[str, AccountState]) -> State:
    return State(
        policy=Policy(_parse_ticks(document["interval"])),
        accounts=accounts,
        active=int(document["active"]),
        logged_in=_text(document.get("logged_in")),
        notifications=_parse_log(document["notifications"]),
        muted_until=_parse_instant(document.get("muted_until")),
        storage_failure=_text(document.get("storage_failure")),
    )


def render_account(state: AccountState) -> Json:
    return _known(
        account=_account(state.account),
        next_poll_at=_instant(state.next_poll_at),
        interval=_ticks(state.interval),
        phase=state.phase,
        usage=None if state.usage is None else _usage(state.usage),
        health=_health(state.health),
        last_success_at=_instant(state.last_success_at),
        polling=state.polling or None,
        requests=[_instant(at) for at in state.requests],
        polls=state.polls,
        failures=dict(state.failures),
        failures_in_a_row=state.failures_in_a_row,
        poll_duration=None if state.poll_duration is None else _ticks(state.poll_duration),
        backoff_until=_instant(state.backoff_until),
        throttled_at=_instant(state.throttled_at),
        identity=state.identity and [state.identity.account_uuid, state.identity.org_uuid],
        plan=state.plan,
        token_expires_at=_instant(state.token_expires_at),
        login_expires_at=_instant(state.login_expires_at),
        config_dir=state.config_dir,
    )


def parse_account(document: Json) -> AccountState:
    """Raises ValueError, TypeError or KeyError where the document is not one of ours."""
    with _expected_errors():
        return _parse_account_state(document)


def _parse_account_state(value: Json) -> AccountState:
    find = value.get
    return AccountState(
        account=_parse_account(value["account"]),
        next_poll_at=_moment(value["next_poll_at"]),
        interval=_parse_ticks(value["interval"]),
        phase=float(value["phase"]),
        usage=_parse_usage(find("usage")),
        health=_parse_health(find("health")),
        last_success_at=_parse_instant(find("last_success_at")),
        polling=bool(find("polling", False)),
        requests=tuple(_moment(at) for at in value["requests"]),
        polls=int(value["polls"]),
        failures={Reason(reason): int(n) for reason, n in value["failures"].items()},
        failures_in_a_row=int(value["failures_in_a_row"]),
        poll_duration=_parse_span(find("poll_duration")),
        backoff_until=_parse_instant(find("backoff_until")),
        throttled_at=_parse_instant(find("throttled_at")),
        identity=_parse_identity(find("identity")),
        plan=_text(find("plan")),
        token_expires_at=_parse_instant(find("token_expires_at")),
        login_expires_at=_parse_instant(find("login_expires_at")),
        config_dir=_text(find("config_dir")),
    )


def _account(account: Account) -> Json:
    return _known(
        name=account.name,
        org_id=account.org_id,
        auth_method=account.auth_method.value,
        label=account.label,
        storage=account.storage and account.storage.value,
        config_dir=account.config_dir,
    )


def _parse_account(value: Json) -> Account:
    storage = value.get("storage")
    return Account(
        name=_words(value["name"]),
        org_id=_words(value["org_id"]),
        auth_method=AuthMethod(value["auth_method"]),
        label=_text(value.get("label")),
        storage=None if storage is None else Storage(storage),
        config_dir=_text(value.get("config_dir")),
    )


def _parse_identity(value: Any) -> Identity | None:
    if value is None:
        return None
    account, organization = value
    return Identity(_words(account), _words(organization))


def _usage(usage: Usage) -> Json:
    return _known(
        at=_instant(usage.at),
        windows=[_window(window) for window in usage.windows],
        extra_usage=None if usage.extra_usage is None else _extra(usage.extra_usage),
    )


def _parse_usage(value: Json | None) -> Usage | None:
    if value is None:
        return None
    windows = tuple(_parse_window(window) for window in value["windows"])
    return Usage(_moment(value["at"]), windows, _parse_extra(value.get("extra_usage")))


def _window(window: Window) -> Json:
    return _known(
        key=window.key,
        utilization=window.utilization,
        resets_at=_instant(window.resets_at),
        locked_reason=window.locked_reason,
        unconfirmed=None if window.confirmed else True,
    )


def _parse_window(value: Json) -> Window:
    return Window(
        key=_words(value["key"]),
        utilization=float(value["utilization"]),
        resets_at=_parse_instant(value.get("resets_at")),
        locked_reason=_text(value.get("locked_reason")),
        confirmed=not value.get("unconfirmed", False),
    )


def _extra(extra: ExtraUsage) -> Json:
    return _known(
        enabled=extra.enabled,
        used=None if extra.used is None else str(extra.used),
        limit=None if extra.limit is None else str(extra.limit),
        currency=extra.currency,
    )


def _parse_extra(value: Json | None) -> ExtraUsage | None:
    if value is None:
        return None
    used, limit = value.get("used"), value.get("limit")
    return ExtraUsage(
        enabled=bool(value["enabled"]),
        used=None if used is None else Decimal(_words(used)),
        limit=None if limit is None else Decimal(_words(limit)),
        currency=_words(value["currency"]),
    )


def _health(health: Health) -> Json | None:
    match health:
        case Up(since):
            return {"up": _instant(since)}
        case Down(since, failure):
            return {"down": _instant(since), "failure": encode(Failure, failure)}
        case _:
            return None


def _parse_health(value: Json | None) -> Health:
    if value is None:
        return Unpolled()
    if "up" in value:
        return Up(_moment(value["up"]))
    return Down(_moment(value["down"]), decode(Failure, value["failure"]))


def _log(log: NotificationLog) -> Json:
    return _known(
        told=[[*key, count] for key, count in log.told.items()],
        failed=[[*key, count] for key, count in log.failed.items()],
        last_at=_instant(log.last_at),
        last_channel=log.last_channel,
        last_failure=log.last_failure,
    )


def _parse_log(value: Json) -> NotificationLog:
    return NotificationLog(
        told={(_words(channel), _words(kind)): int(n) for channel, kind, n in value["told"]},
        failed={(_words(channel), _words(kind)): int(n) for channel, kind, n in value["failed"]},
        last_at=_parse_instant(value.get("last_at")),
        last_channel=_text(value.get("last_channel")),
        last_failure=_text(value.get("last_failure")),
    )


def _known(**values: Any) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _ticks(span: timedelta) -> int:
    return span // _TICK


def _parse_ticks(value: int) -> timedelta:
    return timedelta(microseconds=value)


def _parse_span(value: int | None) -> timedelta | None:
    return None if value is None else _parse_ticks(value)


def _instant(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // _TICK


def _parse_instant(value: int | None) -> datetime | None:
    return None if value is None else _moment(value)


def _moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def _text(value: Any) -> str | None:
    return None if value is None else _words(value)


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value


@contextmanager
def _expected_errors() -> Iterator[None]:
    """Whatever else a strange document leads to is a ValueError: numbers too large, no mapping where one should be."""
    try:
        yield
    except (ArithmeticError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"not one of our documents: {error}") from None
