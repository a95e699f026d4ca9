"""The state as the JSON document of `monitor status --json`: times in UTC and whole seconds, utilization as a ratio."""

import json
from datetime import datetime
from typing import Any

from monitor.core.errors import describe
from monitor.core.forecast import Forecast
from monitor.core.format import iso
from monitor.core.model import AccountState, Window
from monitor.core.state import State


def status_document(state: State, now: datetime) -> dict[str, Any]:
    """Return the document as plain values, in the order of the public interface."""
    return {
        "generated_at": iso(now),
        "poll_interval_secs": int(state.policy.interval.total_seconds()),
        "accounts": [_account(state, name, now) for name in state.accounts],
    }


def render_json(state: State, now: datetime, indent: int | None = 2) -> str:
    """Render the document as ASCII text, without a newline at its end; not indented (None), it is one line."""
    return json.dumps(status_document(state, now), indent=indent, allow_nan=False)


def _account(state: State, name: str, now: datetime) -> dict[str, Any]:
    account = state.accounts[name]
    return {
        "name": name,
        "org_id": account.org_id,
        "plan": account.plan,
        "active": name == state.active_account,
        "logged_in": name == state.logged_in,
        "status": account.status(now),
        "last_success_at": account.last_success_at and iso(account.last_success_at),
        "failure": _failure(account),
        "windows": [_window(account, window, now) for window in account.windows(now)],
        "extra": _extra(account),
    }


def _failure(account: AccountState) -> dict[str, Any] | None:
    if account.down is None:
        return None
    failure = account.down.failure
    return {
        "reason": failure.reason,
        "detail": describe(failure),
        "retry_at": iso(account.next_poll_at),
    }


def _extra(account: AccountState) -> dict[str, Any] | None:
    """Return amounts of money in whole units of the currency; None without a limit."""
    extra = account.usage.extra_usage if account.usage else None
    if extra is None or not extra.is_limited or extra.limit is None:
        return None
    return {
        "used": None if extra.used is None else float(extra.used),
        "limit": float(extra.limit),
        "currency": extra.currency,
    }


def _window(account: AccountState, window: Window, now: datetime) -> dict[str, Any]:
    resets_in = window.resets_in(now)
    forecast = account.forecast_of(window.key, now)
    return {
        "window": window.key,
        "utilization": window.utilization,
        "confirmed": window.confirmed,
        "resets_at": window.resets_at and iso(window.resets_at),
        "resets_in_seconds": None if resets_in is None else int(resets_in.total_seconds()),
        "forecast": None if forecast is None else _forecast(forecast),
    }


def _forecast(forecast: Forecast) -> dict[str, Any]:
    full_at = forecast.full_at
    return {
        "run_out_probability": round(forecast.run_out_probability, 4),
        "full_at": None
        if full_at is None
        else {"p10": iso(full_at.p10), "p50": iso(full_at.p50), "p90": iso(full_at.p90)},
    }
