"""One alert of the ledger, how far it has come, and what makes it the same alert in every process. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any

from monitor.core.alerts.memory_codec import parse_alert
from monitor.core.effects import Alert, Notify


class Stage(StrEnum):
    """Where an alert stands. `telling` that outlives its process was in flight when it died."""

    DECIDED = "decided"
    TELLING = "telling"
    TOLD = "told"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Telling:
    """How far an alert has come in one lane: on one channel, or on the first that works of several."""

    stage: Stage
    attempts: int = 0
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class StoredAlert(Notify):
    """An alert to be told that is written down. Without an `id` it is not: the ledger had failed.

    `ended` says that nothing is left to be done for it; `note` why it was given up, where it never came to a lane.
    """

    id: int | None = None
    lanes: Mapping[str, Telling] = field(default_factory=dict)
    ended: bool = False
    note: str = ""

    @property
    def stage(self) -> Stage:
        """How far it has come where it has come farthest: told is told, wherever it was."""
        stages = {telling.stage for telling in self.lanes.values()}
        if Stage.TOLD in stages:
            return Stage.TOLD
        if self.ended:
            return Stage.DROPPED
        return Stage.TELLING if Stage.TELLING in stages else Stage.DECIDED

    @property
    def attempts(self) -> int:
        return sum(telling.attempts for telling in self.lanes.values())

    @property
    def outcome(self) -> str:
        """What became of it, in words; empty while nothing has."""
        words = [telling.outcome for telling in self.lanes.values() if telling.outcome]
        return "; ".join([*words, *([self.note] if self.note else [])])


def key_of(alert: Alert, org_id: str = "") -> str:
    """An alert's identity: a rule speaks once per window period, and of what has no period once a minute.

    The organization is a part of it, since an account's name may later stand for another one's limits.
    """
    period = alert.period
    if not period or period.startswith(
        "+"
    ):  # no end is known, so that the next period may be called the same
        period = f"{period} at {round(alert.at.timestamp() / 60)}"
    return "\x1f".join((alert.account, org_id, alert.window, alert.rule, period))


Row = tuple[int, str, float | None, str, str | None, str, int, str]


def parse_entries(rows: Iterable[Row]) -> Iterator[StoredAlert]:
    """Entries of rows that are sorted by their id, one row for each lane; what cannot be read is left out."""
    for number, group in groupby(rows, key=lambda row: row[0]):
        tellings = list(group)
        _, document, ended_at, note, *_ = tellings[0]
        try:
            alert = parse_alert(json.loads(document))
            lanes = {row[4]: Telling(Stage(row[5]), row[6], row[7]) for row in tellings if row[4]}
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        yield StoredAlert(alert, number, lanes, ended_at is not None, note)


def render(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
