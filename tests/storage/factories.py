"""Short ways to make a state database that an earlier process has left."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from monitor.core.model import AccountState
from monitor.settings import settings_id, state_db
from monitor.storage import cache
from monitor.storage.db import StateFile

T = TypeVar("T")


def write(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    with closing(StateFile(path)) as file:
        return file.write(work)


def keep_accounts(environ: Mapping[str, str], config: Path, *accounts: AccountState) -> None:
    """What was known of these accounts when somebody polled last by these settings."""
    settings = settings_id(environ, config)

    def work(database: sqlite3.Connection) -> None:
        for account in accounts:
            cache.put_account(database, settings, account.account.name, account)

    write(state_db(environ), work)


def keep_facts(environ: Mapping[str, str], config: Path, facts: Mapping[str, Any]) -> None:
    """What was learnt of accounts by whoever polled by these settings."""
    settings = settings_id(environ, config)
    write(state_db(environ), lambda db: cache.put(db, settings, cache.FACTS, "", dict(facts)))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes, and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
