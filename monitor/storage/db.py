"""The state database: one SQLite file, `state.db`, private to the user, which every process of the user may open.

Whatever is wrong with the file itself (damage, another version of it, somebody else's database) is mended by who
writes: it is set aside under a name that says so, and a new one is begun. Whatever is wrong around it (a lock, a full
disk, a folder that cannot be written) is a `StorageError`, and the next use tries again on a fresh connection.

Light on purpose: commands that answer at once read through this. The thread that writes is in `recorder`.
"""

import contextlib
import itertools
import json
import logging
import math
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from monitor.core.errors import TrackerError
from monitor.system.files import lock_file, private_folder, target_of

VERSION: Final = 2
APPLICATION_ID: Final = 0x436C5472
"""`ClTr`, which `file` and SQLite's tools show of the file."""

IN_MEMORY: Final = Path(":memory:")
"""In the place of a file: a database that nobody else sees, and that ends when it is closed."""

BUSY_SECS: Final = 1.0
"""So long another process may keep us waiting: its transactions take milliseconds."""

_SCHEMA: Final = (
    # What is known now, by settings file: account states, alert memories, facts of accounts, the mute.
    """CREATE TABLE cache (
        settings TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        document TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (settings, kind, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE alerts (
        id INTEGER PRIMARY KEY,
        settings TEXT NOT NULL,
        key TEXT NOT NULL,
        document TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        decided_at REAL NOT NULL,
        ended_at REAL,
        note TEXT NOT NULL DEFAULT '',
        UNIQUE (settings, key)
    )""",
    "CREATE INDEX open_alerts ON alerts (settings) WHERE ended_at IS NULL",
    "CREATE INDEX alerts_by_time ON alerts (settings, decided_at)",
    """CREATE TABLE deliveries (
        settings TEXT NOT NULL,
        key TEXT NOT NULL,
        channel TEXT NOT NULL,
        stage TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        outcome TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (settings, key, channel)
    ) WITHOUT ROWID""",
    # Samples are hourly up to `thinned_until`, and all that there were from then on.
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        settings TEXT NOT NULL,
        account TEXT NOT NULL,
        window TEXT NOT NULL,
        thinned_until REAL NOT NULL DEFAULT 0,
        UNIQUE (settings, account, window)
    )""",
    """CREATE TABLE samples (
        series INTEGER NOT NULL,
        at REAL NOT NULL,
        utilization REAL NOT NULL,
        resets_at REAL,
        PRIMARY KEY (series, at)
    ) WITHOUT ROWID""",
    # The budget is of the account, whichever settings files name it.
    "CREATE TABLE requests (whose TEXT, at INTEGER, PRIMARY KEY (whose, at)) WITHOUT ROWID",
    "CREATE TABLE backoffs (whose TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_CHECKED: Final = ("cache", "alerts", "deliveries", "series", "requests", "backoffs")
"""These tables are read through when the file is opened; samples are too many, and are checked when they are used."""

_KINDS: Final = {"TEXT": str, "INTEGER": int, "REAL": float}
"""The types that the schema declares."""

_WITH_CHECKSUM: Final = (
    "SELECT settings, kind, name, document, checksum FROM cache",
    "SELECT settings, key, document, checksum FROM alerts",
)

_AROUND: Final = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""SQLite's codes for what is wrong around the file; any other one is about the file."""

_PRIMARY_CODE: Final = 0xFF

T = TypeVar("T")
Connection = sqlite3.Connection
Work = Callable[[Connection], T]

_log = logging.getLogger(__name__)


class StorageError(TrackerError):
    """The state database cannot be written or read; the text says why, and where it is.

    `is_damage` where the file itself is what is wrong, which the next process that writes will set aside.
    """

    def __init__(self, words: str, *, is_damage: bool = False) -> None:
        super().__init__(words)
        self.is_damage = is_damage


class DamagedError(Exception):
    """The file holds something else than this version of the program has written; `kind` goes into its name aside."""

    def __init__(self, words: str, kind: str = "damaged") -> None:
        super().__init__(words)
        self.kind = kind


_UNUSABLE: Final = (sqlite3.Error, DamagedError, UnicodeDecodeError)
"""The errors of a database; the last one where SQLite's own message quotes bytes that are no UTF-8."""


class StateFile:
    """The database to write, made by its first use. Calls may wait for other processes: never on an event loop."""

    def __init__(self, path: Path, *, busy_secs: float = BUSY_SECS) -> None:
        self.path = path
        self._busy_secs = busy_secs
        self._database: sqlite3.Connection | None = None
        self._inode = 0

    def write(self, work: Work[T], *, durable: bool = False) -> T:
        """Do the work in one transaction, on a new file where this one is damaged. Raises StorageError.

        What is committed outlives the process, and where it is `durable`, a power cut as well.
        """

        def transact(database: sqlite3.Connection) -> T:
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with transaction(database):
                return work(database)

        return self._use(transact, "written")

    def read(self, work: Work[T]) -> T:
        """Read in one transaction. The file is mended as by a write, also where `work` raises DamagedError."""

        def look(database: sqlite3.Connection) -> T:
            with transaction(database, "BEGIN"):
                return work(database)

        return self._use(look, "read")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _use(self, use: Work[T], done: str) -> T:
        try:
            try:
                return use(self._open())
            except _UNUSABLE as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                return use(self._open())
        except (OSError, *_UNUSABLE) as error:
            self.close()
            raise _failure(self.path, done, error) from None

    def _open(self) -> sqlite3.Connection:
        if self._database is not None and not self._is_in_place():
            self.close()  # somebody has removed it, or set it aside
        if self._database is None:
            if self.path != IN_MEMORY:
                private_folder(target_of(self.path).parent)
                self.path.touch(mode=0o600)
                self._inode = self.path.stat().st_ino
                _check_regular(self.path)
            self._database = self._connect()
        return self._database

    def _is_in_place(self) -> bool:
        try:
            return self.path == IN_MEMORY or self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self.path, isolation_level=None, timeout=self._busy_secs, check_same_thread=False
        )
        try:
            is_made = _is_made(database)
            if is_made:  # checked before anything is written: what is damaged is set aside as it is
                _check_tables(database)
            database.execute("PRAGMA journal_mode = WAL")
            if not is_made:
                with transaction(database):
                    if not _is_made(database):  # nor has another process made it meanwhile
                        for statement in _SCHEMA:
                            database.execute(statement)
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self, error: Exception) -> None:
        """Move the file away that was found to be damaged, unless another process was quicker."""
        self.close()
        with lock_file(self.path, self._busy_secs):
            if not self._is_in_place():
                return
            kind = error.kind if isinstance(error, DamagedError) else "damaged"
            name = f"{self.path.name}.{kind}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            names = (name if n == 0 else f"{name}.{n}" for n in itertools.count())
            aside = next(p for p in map(self.path.with_name, names) if not p.exists())
            for end in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + end).replace(f"{aside}{end}")
        words = "%s cannot be used (%s): it is set aside as %s, and a new one begun"
        _log.error(words, self.path, error, aside.name)


def list_set_aside(path: Path) -> list[Path]:
    """Return the databases that were set aside beside this one, oldest first."""
    found = path.parent.glob(f"{path.name}.*-*Z*")
    return sorted(one for one in found if not one.name.endswith(("-wal", "-shm")))


def read_only(path: Path, work: Work[T], default: T) -> T:
    """Read what others may be writing, and change nothing; `default` where there is no file. Raises StorageError."""
    try:
        if not path.exists() or path.stat().st_size == 0:
            return default
        _check_regular(path)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=BUSY_SECS, isolation_level=None)
        ) as database:
            return work(database) if _is_made(database) else default
    except (OSError, *_UNUSABLE) as error:
        raise _failure(path, "read", error) from None


def check(path: Path) -> None:
    """Read every row of every table. Raises StorageError where that cannot be done, or one is damaged."""
    read_only(path, _check_rows, None)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Run the block in one transaction, which locks from its start: two processes decide one after the other."""
    database.execute(begin)
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk has ended it already
            database.execute("ROLLBACK")
        raise


def render_row(document: object, *key: str) -> tuple[str, int]:
    """Render the JSON document of the row of this key, and the checksum of both: SQLite itself has none."""
    text = json.dumps(document, separators=(",", ":"))
    return text, _checksum(text, key)


def verify(text: str, checksum: int, *key: str) -> str:
    """Return the text of a row. Raises DamagedError where it is not as it was written."""
    if _checksum(text, key) != checksum:
        raise DamagedError("a row is not as it was written")
    return text


@contextlib.contextmanager
def damage() -> Iterator[None]:
    """Turn whatever the block raises while it parses stored rows into a DamagedError."""
    try:
        yield
    except (sqlite3.Error, DamagedError):
        raise
    except Exception as error:  # parsers of what somebody has damaged raise anything
        raise DamagedError(f"a row cannot be parsed: {type(error).__name__}") from error


def _checksum(text: str, key: tuple[str, ...]) -> int:
    return zlib.crc32("\x1f".join((*key, text)).encode(errors="surrogatepass"))


def _check_regular(path: Path) -> None:
    """Raise DamagedError of a folder or a pipe, of which SQLite only says that it cannot open it."""
    if not path.is_file():
        raise DamagedError("it is not a regular file", "foreign")


def _is_made(database: sqlite3.Connection) -> bool:
    """Say whether the tables are there; an empty file has none. Raises DamagedError where they are not ours."""
    # All of one moment: another process may just be making them.
    is_begun = database.in_transaction
    with contextlib.nullcontext() if is_begun else transaction(database, "BEGIN"):
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID:
        if tables or application or version:
            raise DamagedError("it is not this program's", "foreign")
        return False
    if version != VERSION:
        raise DamagedError(f"it is of version {version}", f"version-{version}")
    return True


def _check_tables(database: sqlite3.Connection) -> None:
    for table in _CHECKED:
        (words,) = database.execute(f"PRAGMA integrity_check({table})").fetchone()
        if words != "ok":
            raise DamagedError(words)
        _check_types(database, table)
    for columns in _WITH_CHECKSUM:
        for *key, text, checksum in database.execute(columns):
            verify(text, checksum, *key)


def _check_rows(database: sqlite3.Connection) -> None:
    _check_tables(database)
    for (table,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        _check_types(database, table)
    (words,) = database.execute("PRAGMA integrity_check").fetchone()
    if words != "ok":
        raise DamagedError(words)


def _check_types(database: sqlite3.Connection, table: str) -> None:
    """Hold each value to the type that its column was declared for, which SQLite itself does not ask."""
    columns = database.execute(f'PRAGMA table_info("{table}")').fetchall()
    kinds = [_KINDS.get(kind, object) for _, _, kind, *_ in columns]
    rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name of the schema
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            if not all(map(_is_of_kind, row, kinds)):
                raise DamagedError(f"row {number} of {table} is not as it was written")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _is_damage(error):
            raise
        words = f"row {number + 1} of {table} cannot be read: {error}"
        raise DamagedError(words) from None


def _is_of_kind(value: object, kind: type) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return value is None or isinstance(value, kind)


def _is_damage(error: Exception) -> bool:
    """Say whether the file itself is what is wrong, and not what is around it."""
    if isinstance(error, (DamagedError, UnicodeDecodeError)):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python complains: of bytes that are no UTF-8
        return isinstance(error, sqlite3.OperationalError)
    return code & _PRIMARY_CODE not in _AROUND or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _failure(path: Path, done: str, error: Exception) -> StorageError:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return StorageError(f"{path} cannot be {done}: {why}", is_damage=_is_damage(error))
