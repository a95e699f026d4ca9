"""What the SQLite files of the state folder have in common: whether one is damaged, and keeping that one aside."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE: Final = 0xFF


def check(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged."""
    (words,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if words != "ok":
        error = sqlite3.DatabaseError(words)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is what is wrong."""
    code = getattr(error, "sqlite_errorcode", 0)  # absent where Python itself complains
    return code & _PRIMARY_CODE in _DAMAGED


def move_aside(path: Path, aside: Path) -> None:
    """Keep the file, and what belongs to it, under another name. Raises OSError."""
    for end in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
