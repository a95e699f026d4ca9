"""The one thread that uses the state database of a running program, and what it writes there.

Nothing on the event loop ever waits for a disk. What each dispatch has changed is written in one transaction: accounts,
memories, the alerts decided, samples. An alert is released to be sent once its transaction has committed. While the
database cannot be written, nothing waits: what is to be written is kept, the newest value of each row, and tried again
every second; alerts are then released all the same, once, and enter the database when there is room.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from monitor.core.alerts.rules import Alert
from monitor.core.model import AccountState, Usage
from monitor.core.state import State, changed_accounts
from monitor.storage import cache, deliveries, requests, samples
from monitor.storage.cache import FLEET, AlertMemory, Cached
from monitor.storage.db import Connection, StateFile, StorageError, Work
from monitor.storage.deliveries import Statement, StoredAlert

RETRY_SECS: Final = 1.0
RELEASE_SECS: Final = 2.0
"""So long an alert waits at most to be written before it is sent."""

LOAD_SECS: Final = 5.0
DRAIN_SECS: Final = 2.0
LAST_TRY_SECS: Final = 0.3
"""So long the end waits for a database that could not be written before."""

MOST_POLLS: Final = 20_000
"""So many polls are kept while they cannot be written; the oldest are dropped."""

CLOSE_SECS: Final = 2.0
"""So long the end of a program waits for what is left to be written."""

_PRUNED_EVERY: Final = timedelta(days=1)

Write = Callable[[Connection], object]
"""Writes some rows, on the thread of the database."""

T = TypeVar("T")
Job = Callable[[StateFile], Any]
Done = Callable[[Any, Exception | None], None]
"""Takes what the job has returned, or what it has raised; is called on the loop that submitted it."""

_log = logging.getLogger(__name__)


class Database:
    """Jobs on a state database, one after the other, in the order in which they were submitted."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._jobs = queue.SimpleQueue[tuple[Job, Done, asyncio.AbstractEventLoop] | None]()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job, done: Done) -> None:
        """Have the thread do the job as soon as it can; `done` learns what became of it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="storage", daemon=True)
            self._thread.start()
        self._jobs.put((job, done, asyncio.get_running_loop()))

    async def write(self, work: Work[T], *, within: float, durable: bool = False) -> T:
        """Do the work in one transaction, and return its result. Raises StorageError, also where it takes too long."""
        return await self._result(partial(StateFile.write, durable=durable), work, within)

    async def read(self, work: Work[T], *, within: float) -> T:
        """Return what the work reads in one transaction. Raises StorageError, also where that takes too long."""
        return await self._result(StateFile.read, work, within)

    async def close(self) -> None:
        """End the thread once all jobs are done, or after a while without it."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._jobs.put(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECS):
                while thread.is_alive():  # noqa: ASYNC110 - a thread has no event of the loop's
                    await asyncio.sleep(0.005)

    async def _result(
        self, use: Callable[[StateFile, Work[Any]], Any], work: Work[T], within: float
    ) -> T:
        """Return the work's result. Once nobody waits for it, the job is skipped, or its transaction undone."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def while_wanted(database: Connection) -> T:
            result = work(database)
            if future.cancelled():  # whoever waited has gone on without it meanwhile
                raise StorageError("it took too long")
            return result

        def done(result: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.submit(lambda file: None if future.cancelled() else use(file, while_wanted), done)
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            words = f"{self._file.path} cannot be used: another program keeps it locked, or the disk is slow"
            raise StorageError(words) from None

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done, loop = item
            outcome = outcome_of(job, self._file)
            with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(done, *outcome)
        self._file.close()


def outcome_of(job: Job, file: StateFile) -> tuple[Any, Exception | None]:
    """Do the job. Returns what it returns, and what it raises."""
    try:
        return job(file), None
    except Exception as error:  # noqa: BLE001 - the loop is told, which raises what is a bug
        return None, error


@dataclass(slots=True, eq=False)
class Decision:
    """An alert that was decided, and whether it was released to be sent."""

    stored: StoredAlert
    is_released: bool = False


@dataclass(slots=True, eq=False)
class Batch:
    """All that is to be written in one transaction: the newest value of each row, all else in its order."""

    rows: dict[tuple[str, str], Write] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    history: list[Write] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.decisions or self.history or self.statements)

    def merge(self, newer: "Batch") -> "Batch":
        """Return both as one batch."""
        return Batch(
            {**self.rows, **newer.rows},
            self.decisions + newer.decisions,
            (self.history + newer.history)[-MOST_POLLS:],
            self.statements + newer.statements,
        )

    def write(self, database: Connection, settings: str) -> set[str]:
        """Write all of it. Returns the keys of the decisions that were not written before."""
        for write in self.rows.values():
            write(database)
        decided = [decision.stored for decision in self.decisions]
        new = {a.key for a in decided if deliveries.insert(database, settings, a.key, a.alert)}
        for write in self.history:
            write(database)
        for statement, values in self.statements:
            database.execute(statement, values)
        return new


class Recorder:
    """Writes for one program the rows of one settings file. `failure` says why it cannot; None while it can.

    `decided` are the alerts to be sent: each that is really new, once it is written or has waited long enough.

    Only one that `keeps_alerts` writes what concerns alerts: their memory, and what was decided. Without history in its
    policy it deletes the samples that are there; those of an account are at least `apart`.
    """

    def __init__(
        self,
        database: Database,
        settings: str,
        *,
        keeps_alerts: bool = True,
        apart: timedelta = timedelta(0),
    ) -> None:
        self.database = database
        self.settings = settings
        self.failure: str | None = None
        self.decided = asyncio.Queue[StoredAlert]()
        self._facts: dict[str, Any] = {}
        self._keeps_alerts = keeps_alerts
        self._apart = apart
        self._sampled_at: dict[str, datetime] = {}
        self._pending = Batch()
        self._in_flight: Batch | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._failure_changed = asyncio.Event()
        self._prune_at: datetime | None = None
        self._keeps_history = True

    async def load(self) -> Cached:
        """Read what an earlier process has left; nothing, and a `failure`, where that cannot be read."""
        cached = Cached()
        try:
            cached = await self.database.read(
                lambda database: cache.load(database, self.settings), within=LOAD_SECS
            )
        except StorageError as error:
            self._fail(error)
        facts = {n: f for n, f in {**cached.facts, **self._facts}.items() if f is not None}
        return replace(cached, facts=facts)

    def record(self, before: State, after: State, alerts: Sequence[Alert]) -> None:
        """Write what differs between the states, and the alerts that were decided between them."""
        self._compare(before, after)
        decisions = []
        for alert in alerts if self._keeps_alerts else ():
            account = after.accounts.get(alert.account)
            key = deliveries.key_of(alert, account.account.org_id if account else "")
            decisions.append(Decision(StoredAlert(alert, key)))
        self._pending.decisions += decisions
        self._flush()
        for decision in decisions:
            if not decision.is_released:
                asyncio.get_running_loop().call_later(RELEASE_SECS, self._release, decision)

    def _release(self, decision: Decision) -> None:
        if not decision.is_released:
            decision.is_released = True
            self.decided.put_nowait(decision.stored)

    def record_facts(self, name: str, facts: Any) -> None:
        """Write these facts of the account; None deletes them."""
        self._facts[name] = facts
        self._set_row(cache.FACTS, name, facts)
        self._flush()

    def write(self, statements: Sequence[Statement]) -> None:
        """Have these statements executed, in their order, as soon as possible."""
        self._pending.statements.extend(statements)
        self._flush()

    async def failure_changed(self) -> None:
        """Wait until the database can no longer be written, or can be again."""
        await self._failure_changed.wait()

    async def drain(self, within: float = DRAIN_SECS) -> bool:
        """Wait until all is written; false where that takes too long."""
        try:
            async with asyncio.timeout(within):
                while self._pending or self._in_flight is not None:
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Write what is left, if possible."""
        within = DRAIN_SECS
        if self._retry is not None:
            within = LAST_TRY_SECS
            self._retry.cancel()
            self._try_again()
        if not await self.drain(within):
            _log.warning("what was learnt last is not kept: %s", self.failure or "the disk is slow")
        if self._retry is not None:
            self._retry.cancel()

    def _compare(self, before: State, after: State) -> None:
        history = self._pending.history
        if self._keeps_history != after.policy.keeps_history:
            self._keeps_history = after.policy.keeps_history
            if not self._keeps_history:
                history.append(partial(samples.forget, settings=self.settings))
        if before.clock_offset != after.clock_offset:
            self._set_row(cache.CLOCK, "", after.clock_offset or None, settings="")
        left = (before.accounts.keys() - after.accounts.keys()) | before.restored.keys()
        gone = [n for n in left if n not in after.accounts and n not in after.restored]
        for name in gone:
            self._set_row(cache.ACCOUNT, name, None)
            if self._keeps_alerts:
                self._set_row(cache.MEMORY, name, None)
        for name in changed_accounts(before, after):
            account, old = after.accounts[name], before.accounts.get(name)
            if old is None:
                for former in _former_names(before, gone, account):
                    rename = partial(samples.rename, settings=self.settings, old=former, new=name)
                    history.append(rename)
                    self._set_row(cache.IMPORTED, "", f"{former} is {name}")
            if old is None or _is_row_outdated(old, account):
                self._set_row(cache.ACCOUNT, name, account)
            if old is not None and (
                old.backoff_until != account.backoff_until
                or (old.failures_in_a_row > 0) != (account.failures_in_a_row > 0)
            ):  # which other processes are to know
                put = partial(requests.put_backoff, account=account)
                self._pending.rows["backoff", name] = put
            usage = account.usage if self._keeps_history else None
            if usage is not None and (old is None or old.usage is None or old.usage.at != usage.at):
                self._record_sample(name, usage)
            if self._keeps_alerts:
                memory = AlertMemory.of(account)
                if memory != (AlertMemory() if old is None else AlertMemory.of(old)):
                    self._set_row(cache.MEMORY, name, memory)
        if self._keeps_alerts and before.conditions != after.conditions:
            self._set_row(cache.MEMORY, FLEET, AlertMemory(conditions=after.conditions))

    def _set_row(self, kind: str, name: str, value: Any, settings: str | None = None) -> None:
        settings = self.settings if settings is None else settings
        put = partial(cache.put, settings=settings, kind=kind, name=name, value=value)
        self._pending.rows[kind, name] = put

    def _record_sample(self, name: str, usage: Usage) -> None:
        history, settings, now = self._pending.history, self.settings, usage.at
        if name in self._sampled_at and now - self._sampled_at[name] < self._apart:
            return
        self._sampled_at[name] = now
        history.append(partial(samples.insert, settings=settings, account=name, usage=usage))
        if self._prune_at is None or now >= self._prune_at:
            history.append(partial(samples.prune, settings=settings, now=now))
            history.append(partial(deliveries.prune, settings=settings, now=now))
            self._prune_at = now + _PRUNED_EVERY

    def _flush(self, *, tries_anyway: bool = False) -> None:
        """Submit what is pending; while a batch is under way, wait for its end and submit all in one."""
        if self._in_flight is not None or self._retry is not None:
            return
        if not self._pending and not tries_anyway:
            return
        batch = self._in_flight = self._pending
        self._pending = Batch()
        write = partial(batch.write, settings=self.settings)
        durable = bool(batch.decisions or batch.statements)
        self.database.submit(lambda file: file.write(write, durable=durable), self._finish)

    def _finish(self, new: set[str] | None, error: Exception | None) -> None:
        batch, self._in_flight = self._in_flight, None
        assert batch is not None  # noqa: S101 - one is under way at a time
        if error is None:
            self._report(None)
            unreleased = set(new or ())
            for decision in batch.decisions:
                if decision.stored.key in unreleased:  # two of one batch may be the same alert
                    unreleased.remove(decision.stored.key)
                    self._release(decision)
                decision.is_released = True
            self._flush()
        else:
            self._pending = batch.merge(self._pending)
            for decision in self._pending.decisions:
                self._release(decision)
            self._fail(error)
        self._settled.set()
        self._settled = asyncio.Event()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, StorageError) and str(error) != self.failure:
            _log.error("a bug in what is written to the state database", exc_info=error)
        self._report(str(error))
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(RETRY_SECS, self._try_again)

    def _try_again(self) -> None:
        """Write what is pending, even if that is nothing: the database may be in order again."""
        self._retry = None
        self._flush(tries_anyway=True)

    def _report(self, failure: str | None) -> None:
        if failure == self.failure:
            return
        if failure is None or self.failure is None:
            _log.warning("%s", failure or "the state database can be written again")
        self.failure = failure
        self._failure_changed.set()
        self._failure_changed = asyncio.Event()


def _is_row_outdated(old: AccountState, account: AccountState) -> bool:
    """Say whether the account's row is to be written anew.

    While it is polled, only new figures are written; the rest waits for the end of the poll (what was sent is in a row
    of its own).
    """
    if account.polling:
        return account.usage is not old.usage
    return old.polling or cache.storable(old) != cache.storable(account)


def _former_names(before: State, gone: Sequence[str], account: AccountState) -> list[str]:
    """Return those of the gone names that the account may have had before: its figures are the very same object."""
    windows = account.usage.windows if account.usage else ()
    known = ((name, before.accounts.get(name) or before.restored[name]) for name in gone)
    return [name for name, old in known if (u := old.usage) and u.windows is windows != ()]
