"""The seam to the ledger, and what stands in where there is none."""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from monitor.storage.ledger import Stage, StorageError, StoredAlert

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """Where it is noted how far each alert has come. All of these raise StorageError."""

    def unfinished(self) -> list[StoredAlert]:
        """What an earlier process has not told to the end, oldest first."""

    def begin(self, entries: Sequence[StoredAlert], lane: str) -> Sequence[StoredAlert]:
        """Note, before anybody is told, that these are about to be. Returns those that are still to be told."""

    def put_back(self, entries: Sequence[StoredAlert], lane: str, outcome: str) -> None:
        """Note that these were not told, and are to be tried again."""

    def finish(
        self,
        entries: Collection[StoredAlert],
        lane: str,
        stage: Stage,
        outcome: str,
        ended: Collection[StoredAlert],
        at: datetime,
    ) -> None:
        """Note what became of these in a lane for good; nothing at all is left to be done for those of `ended`."""

    def drop(self, entries: Collection[StoredAlert], note: str, at: datetime) -> None:
        """Give these up without a try."""


class NoJournal:
    """Remembers nothing: for the demo, and where the ledger cannot be opened."""

    def unfinished(self) -> list[StoredAlert]:
        return []

    def begin(self, entries: Sequence[StoredAlert], lane: str) -> Sequence[StoredAlert]:  # noqa: ARG002
        return entries

    def put_back(self, entries: Sequence[StoredAlert], lane: str, outcome: str) -> None:
        """Nothing is noted."""

    def finish(
        self,
        entries: Collection[StoredAlert],
        lane: str,
        stage: Stage,
        outcome: str,
        ended: Collection[StoredAlert],
        at: datetime,
    ) -> None:
        """Nothing is noted."""

    def drop(self, entries: Collection[StoredAlert], note: str, at: datetime) -> None:
        """Nothing is noted."""


def noted(write: Callable[[], T], otherwise: T) -> T:
    """What the journal answers. What it cannot write now it owes, and the store reports that it cannot."""
    try:
        return write()
    except StorageError as error:
        _log.debug("%s", error)
        return otherwise
