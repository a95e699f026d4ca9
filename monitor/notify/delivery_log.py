"""Where it is written how far each alert has come."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from monitor.storage import deliveries
from monitor.storage.db import Connection, StorageError
from monitor.storage.deliveries import Stage, StoredAlert
from monitor.storage.recorder import Recorder

BEGIN_SECS: Final = 1.0
"""So long an alert waits at most for its attempt to be written."""

READ_SECS: Final = 5.0

_log = logging.getLogger(__name__)


class DeliveryLog:
    """The rows of alerts in the state database; what cannot be written now is written when it can be."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._settings = recorder.settings

    async def unfinished(self) -> list[StoredAlert]:
        """What an earlier process has not sent to the end, oldest first."""
        settings, written = self._settings, list[StoredAlert]()
        try:
            written = await self._recorder.database.read(
                lambda database: deliveries.unfinished(database, settings), within=READ_SECS
            )
        except StorageError as error:  # which the recorder reports
            _log.debug("%s", error)
        keys = {alert.key for alert in written}
        return [*written, *(a for a in self._recorder.take_unwritten() if a.key not in keys)]

    async def begin(self, alerts: Sequence[StoredAlert], channel: str) -> Sequence[StoredAlert]:
        """Write, before anything is sent, that these are about to be. Returns those that are still to be."""
        settings = self._settings

        def work(database: Connection) -> list[StoredAlert]:
            left = [a for a in alerts if not deliveries.is_sent(database, settings, a.key, channel)]
            for statement, values in deliveries.begun(settings, left, channel):
                database.execute(statement, values)
            return left

        if self._recorder.failure is None:  # what was written of them before comes first
            await self._recorder.drain(BEGIN_SECS)
        try:
            return await self._recorder.database.write(work, within=BEGIN_SECS, durable=True)
        except StorageError:
            self._recorder.write(deliveries.begun(settings, alerts, channel))
            return alerts

    def put_back(self, alerts: Sequence[StoredAlert], channel: str, outcome: str) -> None:
        """Write that these were not sent, and are to be tried again."""
        results = deliveries.results(self._settings, alerts, channel, Stage.DECIDED, outcome)
        self._recorder.write(results)

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
        results = deliveries.results(self._settings, alerts, channel, stage, outcome)
        self._recorder.write([*results, *deliveries.ends(self._settings, ended, "", at)])

    def drop(self, alerts: Collection[StoredAlert], note: str, at: datetime) -> None:
        """Give these up without an attempt."""
        self._recorder.write(deliveries.ends(self._settings, alerts, note, at))
