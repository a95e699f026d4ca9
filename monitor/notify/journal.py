"""Where it is written how far each alert has come, and what stands in where nothing is written."""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from monitor.storage.ledger import DeliveryLog, Stage, StorageError, StoredAlert

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """What cannot be written now is written when it can be."""

    async def unfinished(self) -> list[StoredAlert]:
        """What an earlier process has not sent to the end, oldest first."""

    async def begin(self, alerts: Sequence[StoredAlert], channel: str) -> Sequence[StoredAlert]:
        """Write, before anybody is told, that these are about to be sent. Returns those that are still to be."""

    def put_back(self, alerts: Sequence[StoredAlert], channel: str, outcome: str) -> None:
        """Write that these were not sent, and are to be tried again."""

    def finish(
        self,
        alerts: Collection[StoredAlert],
        channel: str,
        stage: Stage,
        outcome: str,
        ended: Collection[StoredAlert],
        at: datetime,
    ) -> None:
        """Write what became of these on a channel for good; nothing at all is left to be done for those of `ended`."""

    def drop(self, alerts: Collection[StoredAlert], note: str, at: datetime) -> None:
        """Give these up without an attempt."""


class LoggedJournal:
    """The journal in the delivery log, which reports itself what it cannot write."""

    def __init__(self, log: DeliveryLog) -> None:
        self._log = log

    async def unfinished(self) -> list[StoredAlert]:
        try:
            return self._log.unfinished()
        except StorageError as error:
            _log.warning("%s", error)
            return []

    async def begin(self, alerts: Sequence[StoredAlert], channel: str) -> Sequence[StoredAlert]:
        return _write(lambda: self._log.begin(alerts, channel), alerts)

    def put_back(self, alerts: Sequence[StoredAlert], channel: str, outcome: str) -> None:
        _write(lambda: self._log.put_back(alerts, channel, outcome), None)

    def finish(
        self,
        alerts: Collection[StoredAlert],
        channel: str,
        stage: Stage,
        outcome: str,
        ended: Collection[StoredAlert],
        at: datetime,
    ) -> None:
        _write(lambda: self._log.finish(alerts, channel, stage, outcome, ended, at), None)

    def drop(self, alerts: Collection[StoredAlert], note: str, at: datetime) -> None:
        _write(lambda: self._log.drop(alerts, note, at), None)


class NoJournal:
    """Remembers nothing: for the demo."""

    async def unfinished(self) -> list[StoredAlert]:
        return []

    async def begin(self, alerts: Sequence[StoredAlert], channel: str) -> Sequence[StoredAlert]:  # noqa: ARG002
        return alerts

    def put_back(self, alerts: Sequence[StoredAlert], channel: str, outcome: str) -> None:
        """Nothing is written."""

    def finish(
        self,
        alerts: Collection[StoredAlert],
        channel: str,
        stage: Stage,
        outcome: str,
        ended: Collection[StoredAlert],
        at: datetime,
    ) -> None:
        """Nothing is written."""

    def drop(self, alerts: Collection[StoredAlert], note: str, at: datetime) -> None:
        """Nothing is written."""


def _write(write: Callable[[], T], otherwise: T) -> T:
    try:
        return write()
    except StorageError as error:
        _log.debug("%s", error)
        return otherwise
