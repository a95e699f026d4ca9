"""What the alert machine remembers, as plain JSON values and back. Pure; what cannot be read is forgotten.

Kept in the ledger with each decision, so that a restart neither repeats nor loses an alert.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.core.alerts.memory import Condition, Point, WindowMemory
from monitor.core.effects import Alert, AlertKind
from monitor.core.model import AccountState

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Remembered:
    """One account's memory: of its windows, and of its lasting conditions.

    `org_id` says whose limits these are: the same name may later stand for another organization.
    """

    windows: Mapping[str, WindowMemory] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    org_id: str = ""

    @staticmethod
    def of(account: AccountState) -> "Remembered":
        return Remembered(account.alerts, account.conditions, account.account.org_id)

    def given_back(self, account: AccountState, now: datetime) -> AccountState:
        """The account with this memory behind whatever it has seen since."""
        by = min([timedelta(0), *(now - window.at for window in self.windows.values())])
        windows = {key: window_moved(old, by) for key, old in self.windows.items()}
        conditions = {key: condition_moved(old, by) for key, old in self.conditions.items()}
        return replace(
            account,
            alerts={**windows, **account.alerts},
            conditions={**conditions, **account.conditions},
        )


def window_moved(old: WindowMemory, by: timedelta) -> WindowMemory:
    """The memory for a clock that was set by this much; what the server says keeps its instants."""
    return replace(
        old,
        at=old.at + by,
        low_since=old.low_since and old.low_since + by,
        reached={threshold: since + by for threshold, since in old.reached.items()},
        track=tuple(replace(point, at=point.at + by) for point in old.track),
    )


def condition_moved(old: Condition, by: timedelta) -> Condition:
    """The condition for a clock that was set by this much."""
    return replace(
        old,
        since=old.since + by,
        told_at=old.told_at and old.told_at + by,
        ceased_at=old.ceased_at and old.ceased_at + by,
        freed_at=old.freed_at and old.freed_at + by,
    )


def render_memory(memory: Remembered) -> Json:
    return {
        "windows": {key: _window(window) for key, window in memory.windows.items()},
        "conditions": render_conditions(memory.conditions),
        "org_id": memory.org_id,
    }


def parse_memory(document: Json) -> Remembered:
    """Raises ValueError, TypeError or KeyError where the document is not one of ours."""
    windows = {key: _parse_window(value) for key, value in document["windows"].items()}
    conditions = parse_conditions(document["conditions"])
    return Remembered(windows, conditions, str(document["org_id"]))


def render_conditions(conditions: Mapping[str, Condition]) -> Json:
    return {
        key: {
            "since": _text(condition.since),
            "told_at": _text(condition.told_at),
            "ceased_at": _text(condition.ceased_at),
            "until": _text(condition.until),
            "freed_at": _text(condition.freed_at),
        }
        for key, condition in conditions.items()
    }


def parse_conditions(document: Json) -> dict[str, Condition]:
    return {
        key: Condition(
            since=datetime.fromisoformat(value["since"]),
            told_at=_instant(value["told_at"]),
            ceased_at=_instant(value["ceased_at"]),
            until=_instant(value["until"]),
            freed_at=_instant(value.get("freed_at")),
        )
        for key, value in document.items()
    }


def _window(memory: WindowMemory) -> Json:
    return {
        "at": _text(memory.at),
        "utilization": memory.utilization,
        "resets_at": _text(memory.resets_at),
        "peak": memory.peak,
        "told": sorted(memory.told),
        "low_since": _text(memory.low_since),
        "low_end": _text(memory.low_end),
        "reached": {str(threshold): _text(since) for threshold, since in memory.reached.items()},
        "generation": memory.generation,
        "track": [[_text(point.at), point.utilization] for point in memory.track],
    }


def _parse_window(value: Json) -> WindowMemory:
    return WindowMemory(
        at=datetime.fromisoformat(value["at"]),
        utilization=float(value["utilization"]),
        resets_at=_instant(value["resets_at"]),
        peak=float(value["peak"]),
        told=frozenset(map(float, value["told"])),
        low_since=_instant(value["low_since"]),
        low_end=_instant(value.get("low_end")),
        reached={float(t): datetime.fromisoformat(at) for t, at in value["reached"].items()},
        generation=int(value["generation"]),
        track=tuple(Point(datetime.fromisoformat(at), float(u)) for at, u in value["track"]),
    )


def render_alert(alert: Alert) -> Json:
    return {
        "kind": str(alert.kind),
        "account": alert.account,
        "window": alert.window,
        "at": _text(alert.at),
        "utilization": alert.utilization,
        "threshold": alert.threshold,
        "resets_at": _text(alert.resets_at),
        "detail": alert.detail,
        "period": alert.period,
    }


def parse_alert(value: Json) -> Alert:
    """Raises ValueError, TypeError or KeyError where the value is not one of ours."""
    return Alert(
        kind=AlertKind(value["kind"]),
        account=value["account"],
        window=value["window"],
        at=datetime.fromisoformat(value["at"]),
        utilization=float(value["utilization"]),
        threshold=None if value["threshold"] is None else float(value["threshold"]),
        resets_at=_instant(value["resets_at"]),
        detail=value["detail"],
        period=value["period"],
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
