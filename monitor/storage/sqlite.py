"""The SQLite files of the state folder: private to the user, written in transactions, kept aside where damaged.

Knows no tables. Calls take some milliseconds, and those of one object are made from one thread.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from monitor.system.files import locked, private_folder

BUSY_SECS: Final = 0.5
"""How long another process may keep us waiting: its transactions take milliseconds."""

RETRY_EVENTS: Final = 10
"""What failed is tried again at the latest after so many events, of which there is one a second."""

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE: Final = 0xFF

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_log = logging.getLogger(__name__)


class SqliteFile:
    """One file to write, made by its first use; `make` gives it its tables, in a transaction.

    A damaged file is moved to `aside`, and a new one begun, which is logged at `level`. It is found to be damaged when
    it is opened, if `thorough` (that reads all of it: for small files), else where one comes upon the damage.
    What is written outlives the process, and where `durable`, a power cut as well.
    """

    def __init__(
        self,
        path: Path,
        make: Work[None],
        *,
        aside: Path | None = None,
        busy_secs: float = BUSY_SECS,
        durable: bool = False,
        thorough: bool = True,
        level: int = logging.WARNING,
    ) -> None:
        self._path = path
        self._make = make
        self._aside = aside or path.with_name(f"{path.name}.damaged")
        self._busy_secs = busy_secs
        self._synchronous = "FULL" if durable else "NORMAL"
        self._thorough = thorough
        self._level = level
        self._database: sqlite3.Connection | None = None
        self._failing = False

    def opened(self) -> sqlite3.Connection:
        """The connection that writes. Raises OSError, sqlite3.Error and what `make` does."""
        if self._database is None:
            private_folder(self._path.parent)
            try:
                self._database = self._prepared(self._thorough)
            except sqlite3.DatabaseError as error:
                self._database = self._mended(error)
        return self._database

    def write(self, work: Work[T]) -> T:
        """What the work returns, done in one transaction; on a new file where this one is damaged. Raises as above."""
        try:
            return self._transacted(work)
        except sqlite3.DatabaseError as error:
            self._database = self._mended(error)
            return self._transacted(work)

    def keep(self, work: Work[object], lost: str) -> bool:
        """Write, and say whether that worked: for what may be lost. A failure is one log line until it works again."""
        try:
            self.write(work)
        except (OSError, ValueError, sqlite3.Error) as error:
            if not self._failing:
                _log.warning("%s: %s: %s", self._path, lost, error)
            self._failing = True
            self.close()  # the next try has a fresh connection: the disk may have come back
            return False
        self._failing = False
        return True

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _transacted(self, work: Work[T]) -> T:
        database = self.opened()
        with transaction(database):
            return work(database)

    def _prepared(self, thorough: bool) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, isolation_level=None, timeout=self._busy_secs)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {self._synchronous}")
            database.execute("PRAGMA foreign_keys = ON")
            if thorough:
                _check(database)
            with transaction(database):
                self._make(database)
        except BaseException:
            database.close()
            raise
        return database

    def _mended(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """A connection to a file that is sound; raises the error where damage is not what was wrong."""
        if not _is_damaged(error):
            raise error
        self.close()
        with locked(self._path, self._busy_secs):
            try:
                return self._prepared(thorough=True)  # another process may have been quicker
            except sqlite3.DatabaseError as still:
                if not _is_damaged(still):
                    raise
            _move(self._path, self._aside)
            words = "%s was damaged: it is kept as %s, and a new one begun"
            _log.log(self._level, words, self._path, self._aside)
            return self._prepared(thorough=False)


class Retry:
    """Whether it is time to try again what failed: a try at each event could keep us waiting each time."""

    def __init__(self) -> None:
        self._events_left = 0

    @property
    def is_due(self) -> bool:
        return self._events_left <= 0

    def count(self) -> None:
        """One more event has passed."""
        self._events_left -= 1

    def failed(self) -> None:
        self._events_left = RETRY_EVENTS

    def worked(self) -> None:
        self._events_left = 0


def opened_to_read(path: Path, busy_secs: float = BUSY_SECS) -> sqlite3.Connection | None:
    """The file as it is, which others may be writing; None where there is none. Raises OSError and sqlite3.Error."""
    if not path.exists():
        return None
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=busy_secs)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, from its first statement on: two processes decide one after the other."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk has ended it already
            database.execute("ROLLBACK")
        raise


def _check(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged."""
    (words,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if words != "ok":
        error = sqlite3.DatabaseError(words)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is what is wrong."""
    code = getattr(error, "sqlite_errorcode", 0)  # absent where Python itself complains
    return code & _PRIMARY_CODE in _DAMAGED


def _move(path: Path, aside: Path) -> None:
    """The file, and what belongs to it."""
    for end in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
