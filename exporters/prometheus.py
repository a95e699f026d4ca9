"""The state as a Prometheus page, of which each scrape renders only what has changed. A scrape causes no poll.

The page has two parts: a stable one, whose lines are kept for each account until its state, or time alone, changes one
of them; and one that is new in each scrape: countdowns, and the metrics of this process.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

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
    Row,
    Sample,
    label_text,
    titles_of,
)
from monitor.core.state import State

FAMILIES: Final = (*ACCOUNT_FAMILIES, *FLEET_FAMILIES)
SUFFIXES: Final = {"gauge": "", "counter": "_total", "info": "_info"}

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MILLION: Final = 1_000_000

SENT_AT_ONCE: Final = 512 * 1024
LONG: Final = 64 * 1024
"""In bytes: more is compressed in a thread, since it takes longer than starting one."""

_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
"""The header of a gzip member: fastest compression, no time, unknown system (RFC 1952)."""

_END: Final = b"# EOF\n"


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of one account, family by family, which are valid until an instant.

    `countdowns` has a placeholder for the seconds of each, and `ends` its end, in microseconds since 1970.
    """

    row: Row
    until: datetime
    lines: tuple[bytes, ...]
    countdowns: bytes
    ends: tuple[int, ...]

    def is_valid_for(self, row: Row) -> bool:
        """Return whether this row has the same lines."""
        own = self.row
        return (
            own.account is row.account
            and own.title == row.title
            and own.logged_in is row.logged_in
            and own.policy is row.policy
            and own.now <= row.now < self.until
        )


class Form:
    """The stable part in one format: its bytes, and these compressed, once that was asked for."""

    def __init__(self, families: Sequence[bytes], *, openmetrics: bool) -> None:
        self.openmetrics = openmetrics
        parts = list[bytes]()
        for family, lines in zip(FAMILIES, families, strict=True):
            parts += (head_of(family, openmetrics=openmetrics), lines)
        self.body = b"".join(parts)
        self.deflated: tuple[bytes, int] | None = None

    def deflate(self) -> tuple[bytes, int]:
        """Return the compressed bytes, which more may follow, and the checksum. It releases the GIL."""
        if self.deflated is None:
            compressor = _compressor()
            deflated = compressor.compress(self.body) + compressor.flush(zlib.Z_FULL_FLUSH)
            self.deflated = deflated, zlib.crc32(self.body)
        return self.deflated


@dataclass(frozen=True, slots=True)
class Page:
    """One scrape in the format that was asked for: the stable part, and the `fresh` one."""

    form: Form
    fresh: bytes

    @property
    def content_type(self) -> str:
        return OPENMETRICS if self.form.openmetrics else TEXT

    @property
    def size(self) -> int:
        """Return the length in bytes."""
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
    def compresses_quickly(self) -> bool:
        """Return whether little is left to compress, so that it needs no thread."""
        return (len(self.fresh) if self.form.deflated else self.size) <= LONG

    def gzip(self) -> bytes:
        """Make one gzip member. It releases the GIL."""
        deflated, check = self.form.deflate()
        compressor = _compressor()
        fresh = compressor.compress(self.fresh) + compressor.flush()
        trailer = struct.pack("<II", zlib.crc32(self.fresh, check), self.size & 0xFFFF_FFFF)
        return b"".join((_GZIP_HEAD, deflated, fresh, trailer))


def _compressor() -> "zlib._Compress":
    return zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)


class Exposition:
    """Renders pages of one state after another, and keeps what the next page can use again."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._since = self._until = EPOCH
        self._blocks: Mapping[str, Block] = {}
        self._countdowns: tuple[bytes, Sequence[int]] = b"", ()
        self._families: Sequence[bytes] = ()
        self._forms: dict[bool, Form] = {}

    def steps(self, state: State, now: datetime) -> Iterator[None]:
        """Render the stable part of the state, in short steps; one scrape at a time."""
        if state is self._state and self._since <= now < self._until:
            return
        blocks: dict[str, Block] = {}
        titles = titles_of(state.accounts.values())
        for title, (name, account) in zip(titles, state.accounts.items(), strict=True):
            row = Row(title, account, name == state.logged_in, state.policy, now)
            block = self._blocks.get(name)
            blocks[name] = block if block is not None and block.is_valid_for(row) else _block(row)
            yield
        fleet = Fleet(state, now)
        families = list[bytes]()
        for place, family in enumerate(FAMILIES):
            lines = [_lines(family, family.of_all(fleet))]
            if place < len(ACCOUNT_FAMILIES):
                lines += [block.lines[place] for block in blocks.values()]
            families.append(b"".join(lines))
            yield
        ends = [end for block in blocks.values() for end in block.ends]
        self._countdowns = b"".join([block.countdowns for block in blocks.values()]), ends
        self._state, self._since, self._blocks = state, now, blocks
        self._until = min((fleet.valid_until(), *(block.until for block in blocks.values())))
        self._families, self._forms = families, {}

    def page(self, now: datetime, accept: str, others: Iterable[Collector] = ()) -> Page:
        """Render the page in the format that the Accept header asks for; the metrics of `others` come last."""
        openmetrics = content_type(accept) == OPENMETRICS
        if openmetrics not in self._forms:
            self._forms[openmetrics] = Form(self._families, openmetrics=openmetrics)
        lines, ends = self._countdowns
        clock = (now - EPOCH) // MICROSECOND
        seconds = [(end - clock) // MILLION for end in ends]
        fresh = [
            head_of(COUNTDOWN, openmetrics=openmetrics),
            _fill_countdowns(lines, seconds),
            *_lines_of_others(others, openmetrics=openmetrics),
        ]
        return Page(self._forms[openmetrics], b"".join(fresh))


def render_textfile(state: State, now: datetime) -> str:
    """Render the page for a file that node_exporter reads, without countdowns, which would stand still."""
    exposition = Exposition()
    for _ in exposition.steps(state, now):
        pass
    return exposition.page(now, "").form.body.decode()


def _fill_countdowns(lines: bytes, seconds: Sequence[int]) -> bytes:
    """Fill in the values; the library writes those from a million on with an exponent."""
    if max(seconds, default=0) < MILLION:
        return lines % tuple(seconds)
    values = [_number(value).encode() for value in seconds]
    return lines.replace(b" %d.0\n", b" %b\n") % tuple(values)


def _block(row: Row) -> Block:
    ends = {w.key: (w.resets_at - EPOCH) // MICROSECOND for w in row.windows if w.resets_at}
    heads = [_line_head(COUNTDOWN, (row.title, key)).replace("%", "%%") for key in ends]
    return Block(
        row,
        row.valid_until(),
        tuple([_lines(family, family.of_account(row)) for family in ACCOUNT_FAMILIES]),
        "".join(f"{head}%d.0\n" for head in heads).encode(),
        tuple(ends.values()),
    )


def _lines(family: Family, samples: Iterable[Sample]) -> bytes:
    """Render the samples whose value is known."""
    lines = [
        f"{_line_head(family, labels)}{_number(value)}\n"
        for labels, value in samples
        if value is not None
    ]
    return "".join(lines).encode()


def _line_head(family: Family, values: Iterable[str]) -> str:
    """Render a sample's line up to its value."""
    escaped = [
        label_text(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        for value in values
    ]
    pairs = [f'{label}="{text}"' for label, text in zip(family.labels, escaped, strict=True)]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    return f"{family.name}{SUFFIXES[family.kind]}{labels} "


def _number(value: float) -> str:
    if type(value) is int and 0 <= value < MILLION:
        return f"{value}.0"
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library's own gap
    return text


@cache
def head_of(family: Family, *, openmetrics: bool) -> bytes:
    """Return the HELP, TYPE and UNIT lines of a metric, as the library writes them."""
    return _head(family.name, family.help, family.kind, family.unit, openmetrics=openmetrics)


@cache
def _head(name: str, text: str, kind: str, unit: str, *, openmetrics: bool) -> bytes:
    empty = _EmptyMetric(Metric(name, text, kind, unit))
    if openmetrics:
        head: bytes = generate_openmetrics(empty)  # type: ignore[no-untyped-call]  # the library's own gap
        return head.removesuffix(_END)
    return generate_latest(empty)


@dataclass(frozen=True, slots=True)
class _EmptyMetric(Collector):
    metric: Metric

    def collect(self) -> Iterator[Metric]:
        yield self.metric


def _lines_of_others(collectors: Iterable[Collector], *, openmetrics: bool) -> Iterator[bytes]:
    """Render what these collect, which has no labels, and the end of an OpenMetrics page."""
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
