"""Which form of the metrics page a client wants (RFC 9110, section 12.5). Pure; no header can make it raise.

prometheus_client's own `choose_encoder` takes no quality into account and
answers one that it does not speak under the name of that version; a test shows it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Preference:
    """One item of an Accept header. `q` is 0 (never) to 1; a `q` that cannot be read counts as never."""

    name: str
    version: str
    q: float


@lru_cache(maxsize=32)  # a scraper asks by the same words each time
def content_type(accept: str) -> str:
    """`OPENMETRICS` where the client names it in a version that we speak and likes text no better, else `TEXT`."""
    wanted = parse_preferences(accept)
    versions = ("", "0.0.1", "1.0.0")
    openmetrics = [
        w.q for w in wanted if w.name == "application/openmetrics-text" and w.version in versions
    ]
    best = max(openmetrics, default=0.0)
    return OPENMETRICS if best > 0 and best >= _text_quality(wanted) else TEXT


def _text_quality(wanted: list[Preference]) -> float:
    """How much plain text is liked: the most specific range that covers it decides."""
    for name in ("text/plain", "text/*", "*/*"):
        matching = [w.q for w in wanted if w.name == name and w.version in ("", "0.0.4")]
        if matching:
            return max(matching)
    return 0.0


@lru_cache(maxsize=32)
def accepts_gzip(accept_encoding: str) -> bool:
    wanted = {p.name: p.q for p in parse_preferences(accept_encoding)}
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0


def parse_preferences(header: str) -> list[Preference]:
    return [_parse_preference(item) for item in header.lower().split(",")]


def _parse_preference(item: str) -> Preference:
    name, *parameters = (part.strip() for part in item.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    values = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    return Preference(name, values.get("version", ""), _parse_quality(values.get("q", "1")))


def _parse_quality(text: str) -> float:
    try:
        q = float(text)
    except ValueError:
        return 0.0
    return q if 0 <= q <= 1 else 0.0
