"""The state as a Prometheus page. What has not changed since the last scrape is not made anew; it never polls.

The page has two parts: a stable one, whose lines are kept for each account until its state changes or an instant is
reached that changes what is said of it, and one that is new in each scrape: countdowns, and figures of this process.
"""

import struct
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from typing import Final, TypeVar

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporters.headers import OPENMETRICS, TEXT, content_type
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
BATCH: Final = 250
"""Accounts whose countdowns are written without a pause."""

PIECE: Final = 2048
"""In bytes: lines of a family that are as long are compressed by themselves, and kept."""

SENT_AT_ONCE: Final = 512 * 1024
LONG: Final = 64 * 1024
"""In bytes: to compress so much takes longer than the way into a thread."""

_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
"""A member that is deflated fast, at no time, on no system in particular (RFC 1952)."""

_END: Final = b"# EOF\n"

Result = TypeVar("Result")

Written = dict[tuple[int, Labels], tuple[float, str]]
Pieces = dict[int, tuple[tuple[bytes, ...], bytes]]
Countdowns = tuple[bytes, tuple[int, ...]]
"""Lines with a place for the seconds of each, and when each ends, in microseconds since 1970."""

_OF_ALL: Final = tuple(field.name for field in fields(State) if field.name != "accounts")


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one account (or, of a fleet, of all together) by family, which hold until this instant.

    `written` has each value and its line, by the place of the family and the labels; it goes on from block to block.
    """

    subject: Row | Fleet
    until: datetime | None
    written: Written
    lines: tuple[bytes, ...]
    countdowns: Countdowns = (b"", ())

    def holds_of(
        self, title: str, account: AccountState, used: bool, state: State, now: datetime
    ) -> bool:
        """Return whether the same would be said of this account."""
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
        """Return whether `state` says the same as the one before: of accounts, their names and limits count."""
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
    countdowns: tuple[Countdowns, ...]

    def holds(self, state: State, now: datetime) -> bool:
        return (
            self.state is state and self.since <= now and (self.until is None or now < self.until)
        )

    def parts(self, *, openmetrics: bool) -> Iterator[bytes]:
        for family, lines in zip(FAMILIES, self.families, strict=True):
            yield head_of(family, openmetrics=openmetrics)
            yield lines


class Form:
    """One form of the stable part: its bytes, and these deflated, once that was asked for.

    `pieces` has what was deflated for the last scrapes, by the place of its first family.
    """

    def __init__(self, stable: Stable, pieces: Pieces, *, openmetrics: bool) -> None:
        self.stable = stable
        self.openmetrics = openmetrics
        self.body = b"".join(stable.parts(openmetrics=openmetrics))
        self._pieces = pieces
        self._deflated: tuple[bytes, int] | None = None

    @property
    def is_deflated(self) -> bool:
        return self._deflated is not None

    def deflated(self) -> tuple[bytes, int]:
        """Return the bytes, which another stream may follow, and their checksum. Other threads may run meanwhile."""
        if self._deflated is None:
            deflated = b"".join(self._deflated_pieces(self.stable.families))
            self._deflated = deflated, zlib.crc32(self.body)
        return self._deflated

    def _deflated_pieces(self, families: Sequence[bytes]) -> Iterator[bytes]:
        """Deflate each long family by itself, those between in one: most are as they were at the last scrape."""
        start = 0
        for end in range(1, len(families) + 1):
            if end == len(families) or max(len(families[start]), len(families[end])) >= PIECE:
                yield self._piece(start, tuple(families[start:end]))
                start = end

    def _piece(self, start: int, families: tuple[bytes, ...]) -> bytes:
        before, compressed = self._pieces.get(start, ((), b""))
        is_same = len(before) == len(families)
        if not is_same or any(a is not b for a, b in zip(before, families, strict=True)):
            deflate, parts = _deflate(), []
            for family, lines in zip(FAMILIES[start:], families, strict=False):
                head = head_of(family, openmetrics=self.openmetrics)
                parts += [deflate.compress(head), deflate.compress(lines)]
            compressed = b"".join((*parts, deflate.flush(zlib.Z_FULL_FLUSH)))
            self._pieces[start] = families, compressed
        return compressed


@dataclass(frozen=True, slots=True)
class Page:
    """One scrape in the form that was asked for."""

    form: Form
    fresh: bytes

    @property
    def content_type(self) -> str:
        return OPENMETRICS if self.form.openmetrics else TEXT

    @property
    def size(self) -> int:
        """Return its length in bytes."""
        return len(self.form.body) + len(self.fresh)

    def body(self) -> bytes:
        return self.form.body + self.fresh

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the body, half a million bytes at a time, or a little more."""
        body = memoryview(self.form.body)
        while len(body) > SENT_AT_ONCE:
            yield body[:SENT_AT_ONCE]
            body = body[SENT_AT_ONCE:]
        yield b"".join((body, self.fresh))

    @property
    def is_soon_compressed(self) -> bool:
        """Return whether what is new to be compressed is short."""
        return (len(self.fresh) if self.form.is_deflated else self.size) <= LONG

    def gzip(self) -> bytes:
        """Make one gzip member; not soon compressed, it takes milliseconds, in which other threads may run."""
        deflated, check = self.form.deflated()
        deflate = _deflate()
        fresh = deflate.compress(self.fresh) + deflate.flush()
        trailer = struct.pack("<II", zlib.crc32(self.fresh, check), self.size & 0xFFFF_FFFF)
        return b"".join((_GZIP_HEAD, deflated, fresh, trailer))


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
        self._forms: dict[bool, Form] = {}
        self._pieces: dict[bool, Pieces] = {False: {}, True: {}}

    def steps(
        self, state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
    ) -> Generator[None, None, Page]:
        """Make the page in the form that the Accept header asks for, in short steps; `others` follow our metrics."""
        openmetrics = content_type(accept) == OPENMETRICS
        stable = self._stable
        if stable is None or not stable.holds(state, now):
            stable = yield from self.stable(state, now)
        fresh = [head_of(COUNTDOWN, openmetrics=openmetrics)]
        clock = (now - EPOCH) // MICROSECOND
        for lines, ends in stable.countdowns:
            fresh.append(_counted_down(lines, [(end - clock) // MILLION for end in ends]))
            yield
        fresh += _lines_of_others(others, openmetrics=openmetrics)
        form = self._forms.get(openmetrics)
        if form is None or form.stable is not stable:
            form = Form(stable, self._pieces[openmetrics], openmetrics=openmetrics)
            self._forms[openmetrics] = form
        return Page(form, b"".join(fresh))

    def stable(self, state: State, now: datetime) -> Generator[None, None, Stable]:
        """Make the part without countdowns, only what has changed of it anew."""
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
            together = Fleet(state, now)
            fleet = _block(together, [family.of_all(together) for family in FAMILIES], old_fleet)
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
            tuple(_in_batches([block.countdowns for block in blocks.values()])),
        )
        return self._stable


def render_textfile(state: State, now: datetime) -> str:
    """Render what node_exporter is to read from a file: no countdowns, which would stand still in it."""
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


def _in_batches(countdowns: Sequence[Countdowns]) -> Iterator[Countdowns]:
    for start in range(0, len(countdowns), BATCH):
        lines, ends = zip(*countdowns[start : start + BATCH], strict=True)
        yield b"".join(lines), tuple(chain.from_iterable(ends))


def _counted_down(lines: bytes, seconds: Sequence[int]) -> bytes:
    """Fill in the values, of which those of many days are not written as whole numbers."""
    if max(seconds, default=0) < MILLION:
        return lines % tuple(seconds)
    values = [_number(value).encode() for value in seconds]
    return lines.replace(b" %d.0\n", b" %b\n") % tuple(values)


def _keys(account: AccountState) -> list[str]:
    return [window.key for window in account.usage.windows] if account.usage else []


def _row_block(row: Row, old: Block | None) -> Block:
    ends = {w.key: (w.resets_at - EPOCH) // MICROSECOND for w in row.windows if w.resets_at}
    begun = [_begun(COUNTDOWN, (row.title, key)).replace("%", "%%") for key in ends]
    countdowns = "".join(f"{line}%d.0\n" for line in begun).encode(), tuple(ends.values())
    return _block(row, [family.of_account(row) for family in ACCOUNT_FAMILIES], old, countdowns)


def _block(
    subject: Row | Fleet,
    samples: Iterable[Iterable[Sample]],
    old: Block | None,
    countdowns: Countdowns = (b"", ()),
) -> Block:
    """Make the block of these samples by family; lines that are as before are the same objects."""
    written: Written = {} if old is None else old.written
    lines = [_lines_of(place, found, written) for place, found in enumerate(samples)]
    if old is not None:
        lines = [was if was == new else new for was, new in zip(old.lines, lines, strict=True)]
    return Block(subject, subject.next_turn(), written, tuple(lines), countdowns)


def _lines_of(place: int, samples: Iterable[Sample], written: Written) -> bytes:
    """Write the lines of samples whose value is known."""
    lines = []
    for labels, value in samples:
        if value is not None:
            before = written.get((place, labels))
            if before is None or before[0] != value:
                line = f"{_begun(FAMILIES[place], labels)}{_number(value)}\n"
                before = written[place, labels] = value, line
            lines.append(before[1])
    return "".join(lines).encode()


def _differing(block: Block, old: Block | None) -> set[int]:
    """Return the places of the families of which there are other lines now."""
    if old is None:
        return set(range(len(block.lines)))
    return {place for place, lines in enumerate(block.lines) if lines is not old.lines[place]}


def _begun(family: Family, values: Iterable[str]) -> str:
    """Write a sample's line up to its value."""
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
    """Return what the library writes before the samples of a metric."""
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
    """Write what these collect, none of which has labels, and the end of the page where the form has one."""
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
