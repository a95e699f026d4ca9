"""Answers in the API's own wire format, both shapes in one payload as it is sent since 2026-06. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit as the API speaks of it: a percentage, and an end or None while no window is open."""

    percent: float
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of one account; None is "the plan has no such limit"."""

    five_hour: Limit | None = None
    seven_day: Limit | None = None
    models: Mapping[str, Limit] = field(default_factory=dict)
    extra_cents: int | None = None


def usage_body(limits: Limits) -> Json:
    """The answer of `GET /api/oauth/usage`."""
    return {
        "five_hour": _flat(limits.five_hour),
        "seven_day": _flat(limits.seven_day),
        "seven_day_oauth_apps": None,
        "seven_day_opus": None,
        "seven_day_sonnet": None,
        "iguana_necktie": {"utilization": 0.9884844, "resets_at": None},
        "nimbus_quill": None,
        "extra_usage": _extra_usage(limits.extra_cents),
        "limits": [
            *_row("session", "session", limits.five_hour),
            *_row("weekly_all", "weekly", limits.seven_day),
            *(row for name, limit in limits.models.items() for row in _model_row(name, limit)),
        ],
    }


def _flat(limit: Limit | None) -> Json | None:
    if limit is None:
        return None
    return {
        "utilization": float(limit.percent),
        "resets_at": _iso(limit.resets_at),
        "limit_dollars": None,
        "used_dollars": None,
        "remaining_dollars": None,
        "locked_reason": None,
    }


def _row(kind: str, group: str, limit: Limit | None, scope: Json | None = None) -> list[Json]:
    if limit is None:
        return []
    return [
        {
            "kind": kind,
            "group": group,
            "percent": limit.percent,
            "severity": "normal" if limit.percent < 75 else "warning",
            "resets_at": _iso(limit.resets_at),
            "scope": scope,
            "is_active": kind == "session",
        }
    ]


def _model_row(name: str, limit: Limit) -> list[Json]:
    scope = {"model": {"id": None, "display_name": name}, "surface": None}
    return _row("weekly_scoped", "weekly", limit, scope)


def _extra_usage(cents: int | None) -> Json:
    return {
        "is_enabled": cents is not None,
        "monthly_limit": None if cents is None else 5000,
        "used_credits": cents,
        "utilization": None if cents is None else cents / 50,
        "currency": "USD",
        "decimal_places": 2,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment else None


def error_body(kind: str, message: str) -> Json:
    return {"error": {"message": message, "type": kind}}
