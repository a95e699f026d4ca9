"""The state as a Prometheus page. What has not changed since the last scrape is not made anew; it never polls.

The page has two parts: a stable one, whose lines are kept for each account until its state changes or an instant is
reached that changes what is said of it, and one that is new in each scrape: countdowns, and figures of this process.
"""

import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import repeat
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporters import negotiation
from exporters.families import (
    ACCOUNT_FAMILIES,
    COUNTDOWN,
    FLEET_FAMILIES,
    Family,
    Fleet,
    Row,
    Sample,
    label_text,
    titles_of,
)
from monitor.core.model import Account, AccountState
from monitor.core.policy import Policy
from monitor.core.state import State

FAMILIES: Final = (*ACCOUNT_FAMILIES, *FLEET_FAMILIES)
SUFFIXES: Final = {"gauge": "", "counter": "_total", "info": "_info"}

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MILLION: Final = 1_000_000
BATCH: Final = 500
"""Countdowns that are written without a pause."""

_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
"""A member that is deflated fast, at no time, on no system in particular (RFC 1952)."""


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one account by family, which hold from `since` until `until` while it is the same account.

    `samples` are what `lines` say; `countdowns` are the begun lines of its countdowns, and when they end, in
    microseconds since 1970.
    """

    row: Row
    until: datetime | None
    samples: tuple[tuple[Sample, ...], ...]
    lines: tuple[str, ...]
    countdowns: tuple[tuple[str, int], ...]

    def holds(self, title: str, account: AccountState, now: datetime, *, logged_in: bool) -> bool:
        row = self.row
        return (
            row.account is account
            and row.title == title
            and row.logged_in is logged_in
            and row.now <= now
            and (self.until is None or now < self.until)
        )


@dataclass(slots=True, eq=False)
class Stable:
    """The part of the page that holds for `state` from `since` until `until`; each form of it is made once."""

    state: State
    since: datetime
    until: datetime | None
    families: tuple[str, ...]
    countdowns: tuple[tuple[str, int], ...]
    _written: dict[bool, bytes] = field(default_factory=dict)
    _compressed: dict[bool, bytes] = field(default_factory=dict)

    def holds(self, state: State, now: datetime) -> bool:
        return (
            self.state is state and self.since <= now and (self.until is None or now < self.until)
        )

    def written(self, *, openmetrics: bool) -> bytes:
        if openmetrics not in self._written:
            heads = (head_of(family, openmetrics=openmetrics) for family in FAMILIES)
            parts = [part for pair in zip(heads, self.families, strict=True) for part in pair]
            self._written[openmetrics] = "".join(parts).encode()
        return self._written[openmetrics]

    def compressed(self, *, openmetrics: bool) -> bytes:
        """A deflated stream that another may follow."""
        if openmetrics not in self._compressed:
            body = self.written(openmetrics=openmetrics)
            deflate = _deflate()
            self._compressed[openmetrics] = deflate.compress(body) + deflate.flush(
                zlib.Z_FULL_FLUSH
            )
        return self._compressed[openmetrics]


@dataclass(frozen=True, slots=True)
class Page:
    """One scrape in the form that was asked for."""

    stable: Stable
    fresh: bytes
    openmetrics: bool

    @property
    def content_type(self) -> str:
        return negotiation.OPENMETRICS if self.openmetrics else negotiation.TEXT

    @property
    def size(self) -> int:
        return len(self.stable.written(openmetrics=self.openmetrics)) + len(self.fresh)

    def body(self) -> bytes:
        return self.stable.written(openmetrics=self.openmetrics) + self.fresh

    def gzip(self) -> bytes:
        """One gzip member; of a long page this takes milliseconds, in which other threads may run."""
        body = self.stable.written(openmetrics=self.openmetrics)
        deflate = _deflate()
        check = zlib.crc32(self.fresh, zlib.crc32(body))
        return b"".join(
            (
                _GZIP_HEAD,
                self.stable.compressed(openmetrics=self.openmetrics),
                deflate.compress(self.fresh),
                deflate.flush(),
                struct.pack("<II", check, (len(body) + len(self.fresh)) & 0xFFFF_FFFF),
            )
        )


def _deflate() -> "zlib._Compress":
    return zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)


class Exposition:
    """Makes pages of one state after another, and keeps what may stay for the next one."""

    def __init__(self) -> None:
        self._policy = Policy()
        self._accounts: list[Account] = []
        self._titles: list[str] = []
        self._blocks: dict[str, Block] = {}
        self._stable: Stable | None = None

    def steps(
        self, state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
    ) -> Generator[None, None, Page]:
        """The page in the form that the Accept header asks for, in short steps; `others` follow our own metrics."""
        openmetrics = negotiation.content_type(accept) == negotiation.OPENMETRICS
        stable = self._stable
        if stable is None or not stable.holds(state, now):
            stable = self._stable = yield from self._renewed(state, now)
            yield
        fresh = [head_of(COUNTDOWN, openmetrics=openmetrics)]
        clock = (now - EPOCH) // MICROSECOND
        for start in range(0, len(stable.countdowns), BATCH):
            fresh += [
                f"{begun}{_number(max(end - clock, 0) // MILLION)}\n"
                for begun, end in stable.countdowns[start : start + BATCH]
            ]
            yield
        fresh += _library(others, openmetrics=openmetrics)
        return Page(stable, "".join(fresh).encode(), openmetrics)

    def _renewed(self, state: State, now: datetime) -> Generator[None, None, Stable]:
        if state.policy is not self._policy:
            self._policy, self._blocks = state.policy, {}
        accounts = [account.account for account in state.accounts.values()]
        if accounts != self._accounts:
            self._accounts, self._titles = accounts, titles_of(state.accounts.values())
        blocks: dict[str, Block] = {}
        for title, (name, account) in zip(self._titles, state.accounts.items(), strict=True):
            block, logged_in = self._blocks.get(name), name == state.logged_in
            if block is None or not block.holds(title, account, now, logged_in=logged_in):
                block = _block(Row(title, account, logged_in, state.policy, now), block)
                yield
            blocks[name] = block
        self._blocks = blocks
        fleet = Fleet(state, now)
        families = []
        for place, family in enumerate(FAMILIES):
            own = lines_of(family, family.of_all(fleet))
            if place < len(ACCOUNT_FAMILIES):
                own += "".join([block.lines[place] for block in blocks.values()])
            families.append(own)
            yield
        ends = (block.until for block in blocks.values())
        return Stable(
            state,
            now,
            min((end for end in (fleet.next_turn(), *ends) if end is not None), default=None),
            tuple(families),
            tuple(countdown for block in blocks.values() for countdown in block.countdowns),
        )


def render(
    state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
) -> tuple[bytes, str]:
    """The page in the form that the Accept header asks for, and its content type; `others` follow our own metrics."""
    steps = Exposition().steps(state, now, accept, others)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            page: Page = end.value
            return page.body(), page.content_type


def render_textfile(state: State, now: datetime) -> str:
    """What node_exporter is to read from a file: without countdowns, which would stand still in it."""
    steps = Exposition()._renewed(state, now)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            stable: Stable = end.value
            return stable.written(openmetrics=False).decode()


def _block(row: Row, before: Block | None) -> Block:
    """The block of an account; what says the same as `before` is taken from there."""
    countdowns = tuple(
        (
            _begun(COUNTDOWN, (row.title, window.key)),
            (window.resets_at - EPOCH) // MICROSECOND,
        )
        for window in row.windows
        if window.resets_at is not None
    )
    samples = tuple([tuple(family.of_account(row)) for family in ACCOUNT_FAMILIES])
    known = zip(before.samples, before.lines, strict=True) if before else repeat((None, ""))
    lines = tuple(
        [
            old_lines if new == old else lines_of(family, new)
            for family, new, (old, old_lines) in zip(ACCOUNT_FAMILIES, samples, known, strict=False)
        ]
    )
    return Block(row, row.next_turn(), samples, lines, countdowns)


def lines_of(family: Family, samples: Iterable[Sample]) -> str:
    """The lines of samples whose value is known."""
    return "".join(
        [
            f"{_begun(family, labels)}{_number(value)}\n"
            for labels, value in samples
            if value is not None
        ]
    )


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


@lru_cache(10_000)
def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library's own gap
    return text


@cache
def head_of(family: Family, *, openmetrics: bool) -> str:
    """What the library writes before the samples of a metric."""
    metric = Metric(family.name, family.help, family.kind, family.unit)
    return "".join(_library([_Collected([metric])], openmetrics=openmetrics)).removesuffix(
        "# EOF\n"
    )


@dataclass(frozen=True, slots=True)
class _Collected(Collector):
    metrics: list[Metric]

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


def _library(collectors: Iterable[Collector], *, openmetrics: bool) -> list[str]:
    """What the library writes of these, with the end of the page where the form has one."""
    all_of_them = _Collected([metric for each in collectors for metric in each.collect()])
    if openmetrics:
        written: bytes = generate_openmetrics(all_of_them)  # type: ignore[no-untyped-call]  # the library's own gap
        return [written.decode()]
    return [generate_latest(all_of_them).decode()]
