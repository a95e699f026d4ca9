"""The state as a Prometheus page. What has not changed since the last scrape is not made anew; it never polls.

The page has two parts: a stable one, whose lines are kept for each account until its state changes or an instant is
reached that changes what is said of it, and one that is new in each scrape: countdowns, and figures of this process.
"""

import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, TypeVar

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporters import negotiation
from exporters.metrics import (
    ACCOUNT_FAMILIES,
    COUNTDOWN,
    FLEET_FAMILIES,
    Family,
    Fleet,
    Labels,
    Row,
    Sample,
    label_text,
    titles_of,
)
from monitor.core.model import Account, AccountState
from monitor.core.state import State

FAMILIES: Final = (*ACCOUNT_FAMILIES, *FLEET_FAMILIES)
SUFFIXES: Final = {"gauge": "", "counter": "_total", "info": "_info"}

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MILLION: Final = 1_000_000
BATCH: Final = 500
"""Countdowns that are written without a pause."""

PIECE: Final = 2048
"""In bytes: what is as long is compressed by itself, and kept."""

_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
"""A member that is deflated fast, at no time, on no system in particular (RFC 1952)."""

_END: Final = b"# EOF\n"

Result = TypeVar("Result")

Kept = dict[tuple[int, bool], tuple[bytes, bytes]]
"""Lines and what they are compressed to, by the place of their family and the form of the page."""


_OF_ALL: Final = tuple(field.name for field in fields(State) if field.name != "accounts")

Written = dict[tuple[int, Labels], tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Block:
    """What is said of one account (or, of a fleet, of all together) by family, until this instant.

    `written` has each value and its line, by the place of the family and the labels; it goes on from block to block.
    `countdowns` are lines up to their value, and when they end, in microseconds since 1970.
    """

    subject: Row | Fleet
    until: datetime | None
    written: Written
    lines: tuple[bytes, ...]
    countdowns: tuple[tuple[str, int], ...] = ()

    def holds_of(
        self, title: str, account: AccountState, used: bool, state: State, now: datetime
    ) -> bool:
        """Whether the same would be said of this account."""
        row = self.subject
        return (
            isinstance(row, Row)
            and row.account is account
            and row.title == title
            and row.logged_in is used
            and row.policy is state.policy
            and row.now <= now
            and (self.until is None or now < self.until)
        )

    def holds_of_all(self, before: State, state: State, now: datetime) -> bool:
        """Whether the same would be said of `state` as of the one before: of accounts, their names and limits count."""
        return (
            all(getattr(before, name) is getattr(state, name) for name in _OF_ALL)
            and list(before.accounts) == list(state.accounts)
            and all(
                account is old or _keys(account) == _keys(old)
                for account, old in zip(
                    state.accounts.values(), before.accounts.values(), strict=True
                )
            )
            and self.subject.now <= now
            and (self.until is None or now < self.until)
        )


@dataclass(frozen=True, slots=True)
class Stable:
    """The part of the page that holds for `state` from `since` until `until`: the lines of each family."""

    state: State
    since: datetime
    until: datetime | None
    families: tuple[bytes, ...]
    countdowns: tuple[tuple[str, int], ...]

    def holds(self, state: State, now: datetime) -> bool:
        return (
            self.state is state and self.since <= now and (self.until is None or now < self.until)
        )

    def parts(self, *, openmetrics: bool) -> Iterator[bytes]:
        for family, lines in zip(FAMILIES, self.families, strict=True):
            yield head_of(family, openmetrics=openmetrics)
            yield lines


@dataclass(frozen=True, slots=True)
class Page:
    """One scrape in the form that was asked for."""

    stable: Stable
    fresh: bytes
    openmetrics: bool
    kept: Kept

    @property
    def content_type(self) -> str:
        return negotiation.OPENMETRICS if self.openmetrics else negotiation.TEXT

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self._parts()))

    def body(self) -> bytes:
        return b"".join(self._parts())

    def pieces(self) -> Iterator[bytes]:
        """The body, some ten thousand bytes or more at a time."""
        waiting: list[bytes] = []
        for part in self._parts():
            waiting.append(part)
            if len(part) > PIECE * 10:
                yield b"".join(waiting)
                waiting = []
        yield b"".join(waiting)

    def _parts(self) -> Iterator[bytes]:
        yield from self.stable.parts(openmetrics=self.openmetrics)
        yield self.fresh

    def gzip(self) -> bytes:
        """One gzip member; of a long page this takes milliseconds, in which other threads may run."""
        check, size, deflate = 0, 0, _deflate()
        written = [_GZIP_HEAD]
        for place, lines in enumerate(self.stable.families):
            head = head_of(FAMILIES[place], openmetrics=self.openmetrics)
            check, size = zlib.crc32(lines, zlib.crc32(head, check)), size + len(head) + len(lines)
            if len(lines) < PIECE:
                written += (deflate.compress(head), deflate.compress(lines))
            else:
                written += (deflate.flush(zlib.Z_FULL_FLUSH), self._compressed(place, head, lines))
        check, size = zlib.crc32(self.fresh, check), size + len(self.fresh)
        written += (deflate.compress(self.fresh), deflate.flush())
        return b"".join((*written, struct.pack("<II", check, size & 0xFFFF_FFFF)))

    def _compressed(self, place: int, head: bytes, lines: bytes) -> bytes:
        """A deflated stream that another may follow: that of the last scrape, if it was of the same lines."""
        before, compressed = self.kept.get((place, self.openmetrics), (b"", b""))
        if before is not lines:
            deflate = _deflate()
            parts = (deflate.compress(head), deflate.compress(lines))
            compressed = b"".join((*parts, deflate.flush(zlib.Z_FULL_FLUSH)))
            self.kept[place, self.openmetrics] = lines, compressed
        return compressed


def _deflate() -> "zlib._Compress":
    return zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)


class Exposition:
    """Makes pages of one state after another, and keeps what may stay for the next one."""

    def __init__(self) -> None:
        self._accounts: list[Account] = []
        self._titles: list[str] = []
        self._blocks: dict[str, Block] = {}
        self._fleet: Block | None = None
        self._stable: Stable | None = None
        self._kept: Kept = {}

    def steps(
        self, state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
    ) -> Generator[None, None, Page]:
        """The page in the form that the Accept header asks for, in short steps; `others` follow our own metrics."""
        openmetrics = negotiation.content_type(accept) == negotiation.OPENMETRICS
        stable = self._stable
        if stable is None or not stable.holds(state, now):
            stable = yield from self.stable(state, now)
        fresh = [head_of(COUNTDOWN, openmetrics=openmetrics)]
        clock = (now - EPOCH) // MICROSECOND
        for start in range(0, len(stable.countdowns), BATCH):
            batch = stable.countdowns[start : start + BATCH]
            lines = [f"{line}{_number(max((end - clock) // MILLION, 0))}\n" for line, end in batch]
            fresh.append("".join(lines).encode())
            yield
        fresh += _lines_of_others(others, openmetrics=openmetrics)
        return Page(stable, b"".join(fresh), openmetrics, self._kept)

    def stable(self, state: State, now: datetime) -> Generator[None, None, Stable]:
        """The part without countdowns, of which only what has changed is made anew."""
        before, old, old_fleet = self._stable, self._blocks, self._fleet
        self._stable = None  # another scrape that begins meanwhile makes its own
        accounts = [account.account for account in state.accounts.values()]
        if accounts != self._accounts:
            self._accounts, self._titles = accounts, titles_of(state.accounts.values())
        blocks: dict[str, Block] = {}
        changed: set[int] = set()
        for title, (name, account) in zip(self._titles, state.accounts.items(), strict=True):
            block, used = old.get(name), name == state.logged_in
            if block is None or not block.holds_of(title, account, used, state, now):
                block = _row_block(Row(title, account, used, state.policy, now), block)
                changed |= _differing(block, old.get(name))
                yield
            blocks[name] = block
        fleet = old_fleet
        if fleet is None or before is None or not fleet.holds_of_all(before.state, state, now):
            fleet = _fleet_block(Fleet(state, now), old_fleet)
            changed |= _differing(fleet, old_fleet)
        if before is None or list(old) != list(blocks):
            changed = set(range(len(FAMILIES)))
        families = list(before.families) if before else [b""] * len(FAMILIES)
        for place in sorted(changed):
            lines = [fleet.lines[place]]
            if place < len(ACCOUNT_FAMILIES):
                lines += [block.lines[place] for block in blocks.values()]
            families[place] = b"".join(lines)
            yield
        ends = [block.until for block in (fleet, *blocks.values()) if block.until is not None]
        self._blocks, self._fleet = blocks, fleet
        self._stable = Stable(
            state,
            now,
            min(ends, default=None),
            tuple(families),
            tuple(countdown for block in blocks.values() for countdown in block.countdowns),
        )
        return self._stable


def render(
    state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
) -> tuple[bytes, str]:
    """The page in the form that the Accept header asks for, and its content type; `others` follow our own metrics."""
    page = finish(Exposition().steps(state, now, accept, others))
    return page.body(), page.content_type


def render_textfile(state: State, now: datetime) -> str:
    """What node_exporter is to read from a file: without countdowns, which would stand still in it."""
    stable = finish(Exposition().stable(state, now))
    return b"".join(stable.parts(openmetrics=False)).decode()


def finish(steps: Generator[None, None, Result]) -> Result:
    """Go all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def _keys(account: AccountState) -> list[str]:
    return [window.key for window in account.usage.windows] if account.usage else []


def _row_block(row: Row, old: Block | None) -> Block:
    is_same = old is not None and isinstance(old.subject, Row) and old.subject.title == row.title
    written = old.written if old is not None and is_same else {}
    countdowns = tuple(
        (_begun(COUNTDOWN, (row.title, window.key)), (window.resets_at - EPOCH) // MICROSECOND)
        for window in row.windows
        if window.resets_at is not None
    )
    lines = [
        _lines_of(place, family.of_account(row), written)
        for place, family in enumerate(ACCOUNT_FAMILIES)
    ]
    return Block(row, row.next_turn(), written, _kept(lines, old), countdowns)


def _fleet_block(fleet: Fleet, old: Block | None) -> Block:
    written = old.written if old is not None else {}
    lines = [
        _lines_of(place, family.of_all(fleet), written) for place, family in enumerate(FAMILIES)
    ]
    return Block(fleet, fleet.next_turn(), written, _kept(lines, old))


def _lines_of(place: int, samples: Iterable[Sample], written: Written) -> bytes:
    """The lines of samples whose value is known."""
    lines = []
    for labels, value in samples:
        if value is not None:
            before = written.get((place, labels))
            if before is None or before[0] != value:
                line = f"{_begun(FAMILIES[place], labels)}{_number(value)}\n"
                before = written[place, labels] = value, line
            lines.append(before[1])
    return "".join(lines).encode()


def _kept(lines: list[bytes], old: Block | None) -> tuple[bytes, ...]:
    """The lines by family, of which those that are as before are the same objects."""
    if old is None:
        return tuple(lines)
    return tuple([was if was == new else new for was, new in zip(old.lines, lines, strict=True)])


def _differing(block: Block, old: Block | None) -> set[int]:
    """The places of the families of which there are other lines now."""
    if old is None:
        return set(range(len(block.lines)))
    return {place for place, lines in enumerate(block.lines) if lines is not old.lines[place]}


def _begun(family: Family, values: Iterable[str]) -> str:
    """A sample's line up to its value."""
    pairs = [
        f'{label}="{_escaped(label_text(value))}"'
        for label, value in zip(family.labels, values, strict=True)
    ]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    return f"{family.name}{SUFFIXES[family.kind]}{labels} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if type(value) is int and 0 <= value < MILLION:
        return f"{value}.0"
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library's own gap
    return text


@cache
def head_of(family: Family, *, openmetrics: bool) -> bytes:
    """What the library writes before the samples of a metric."""
    return _head(family.name, family.help, family.kind, family.unit, openmetrics=openmetrics)


@cache
def _head(name: str, text: str, kind: str, unit: str, *, openmetrics: bool) -> bytes:
    alone = _Collected([Metric(name, text, kind, unit)])
    if openmetrics:
        written: bytes = generate_openmetrics(alone)  # type: ignore[no-untyped-call]  # the library's own gap
        return written.removesuffix(_END)
    return generate_latest(alone)


@dataclass(frozen=True, slots=True)
class _Collected(Collector):
    metrics: list[Metric]

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


def _lines_of_others(collectors: Iterable[Collector], *, openmetrics: bool) -> Iterator[bytes]:
    """What these collect, none of which has labels, and the end of the page where the form has one."""
    for collector in collectors:
        for metric in collector.collect():
            yield _head(
                metric.name,
                metric.documentation,
                metric.type,
                metric.unit,
                openmetrics=openmetrics,
            )
            for sample in metric.samples:
                yield f"{sample.name} {_number(sample.value)}\n".encode()
    if openmetrics:
        yield _END
