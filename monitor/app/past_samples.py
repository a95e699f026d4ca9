"""Reads the samples that forecasts learn from; on the first day those that Claude Desktop has kept, too.

Claude Desktop writes `plan-usage-history.json` into its folder: `{"version": 2, "samples": [{"t": ms, "org": uuid,
"u": {"fh": percent, "sd": percent, …}}]}`, a sample every 5 to 15 minutes, of some 30 days, without times of resets
(seen in 2026-09). It is read and never written.
"""

import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.core.model import FIVE_HOURS, SEVEN_DAYS
from monitor.core.profiles import Sample
from monitor.credentials.folders import home
from monitor.storage import cache, samples
from monitor.storage.db import StorageError
from monitor.storage.recorder import Database
from monitor.storage.samples import StoredSample
from monitor.system.aio import DaemonThreads
from monitor.system.files import read_regular

FIRST_DAY: Final = timedelta(days=1)
READ_SECS: Final = 2.0
WRITE_SECS: Final = 5.0
MOST_BYTES: Final = 32 * 1024 * 1024

FILE: Final = "plan-usage-history.json"
_WINDOWS: Final = {"fh": FIVE_HOURS, "sd": SEVEN_DAYS}
"""The codes whose meaning is certain."""

Others = Callable[[str, str, datetime], Iterable[StoredSample]]
"""Samples of an account (by name, organization and now) that another program has kept; blocking, never raises."""

_log = logging.getLogger(__name__)


class History:
    """The samples of the accounts of one settings file; `others` reads more of them from other programs."""

    def __init__(self, database: Database, settings: str, others: Others) -> None:
        self._database = database
        self._settings = settings
        self._others = others
        self._disk = DaemonThreads(READ_SECS)

    async def read(
        self, account: str, since: datetime, until: datetime
    ) -> Mapping[str, Sequence[Sample]]:
        """Read the samples of each window, oldest first. Raises StorageError."""
        span = self._settings, account, since, until
        return await self._database.read(lambda d: samples.read(d, *span), within=READ_SECS)

    async def last_import(self) -> str:
        """Return a text that differs after each import. Raises StorageError."""
        return await self._database.read(
            lambda database: cache.last_import(database, self._settings), within=READ_SECS
        )

    async def fill(self, account: str, org_id: str, now: datetime) -> int:
        """Take over what other programs have kept of the account, unless we have samples from before today.

        Returns the number of new samples. Never raises.
        """
        day_ago = now - FIRST_DAY
        try:
            if await self.read(account, day_ago - samples.KEPT, day_ago):
                return 0
            found = await self._disk.run(lambda: list(self._others(account, org_id, now)))
            if not found:
                return 0
            new, _ = await self._database.write(
                lambda database: samples.insert_many(database, self._settings, found),
                within=WRITE_SECS,
            )
        except (StorageError, TimeoutError) as error:
            _log.debug("what others have kept is not taken over: %s", error)
            return 0
        if new:
            _log.info("took over %s samples of %s that another program has kept", new, account)
        return new


def desktop_rows(
    environ: Mapping[str, str], account: str, org_id: str, now: datetime
) -> Iterator[StoredSample]:
    """Read the samples that Claude Desktop has kept of this organization, blocking; bad ones are left out."""
    folder = home(environ)
    if sys.platform == "darwin":
        base = folder / "Library" / "Application Support"
    else:
        base = Path(environ.get("XDG_CONFIG_HOME") or folder / ".config")
    for path in sorted(base.glob(f"Claude*/{FILE}"))[:20]:  # one for each of its profiles
        try:
            document = json.loads(read_regular(path, MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        kept = document.get("samples") if isinstance(document, dict) else None
        for entry in kept if isinstance(kept, list) else ():
            yield from _parse_entry(entry, account, org_id, now)


def _parse_entry(entry: object, account: str, org_id: str, now: datetime) -> Iterator[StoredSample]:
    if not isinstance(entry, dict) or entry.get("org") != org_id:
        return
    used, milliseconds = entry.get("u"), _number(entry.get("t"))
    if not isinstance(used, dict) or milliseconds is None:
        return
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return
    for code, window in _WINDOWS.items():
        percent = _number(used.get(code))
        if percent is not None and 0 <= percent <= 1000 and now - samples.KEPT < at < now:
            yield StoredSample(at, account, window, percent / 100)


def _number(value: object) -> float | None:
    """The value where it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
