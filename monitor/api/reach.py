"""Whether the API can be reached, and what time it is there: one GET that carries no token and asks for nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitor.api import wire
from monitor.api.http_times import parse_http_date
from monitor.core.errors import Reason
from monitor.system.web import Answer, BlockedError, Obstacle, ask, session_of

MOST_BYTES: Final = 1 << 16

HELLO: Final = "/api/hello"
"""What Claude Code itself asks for, to see whether it is connected: a word of JSON, without any login."""

_PAGES: Final = (b"<!doctype", b"<html")


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer, whatever it says. `date` is the server's own, to the second; None where it gives none.

    `is_page` says that it is made for a browser: HTML.
    """

    status: int
    date: datetime | None
    is_challenge: bool
    is_page: bool = False

    @property
    def is_alien(self) -> bool:
        """Whether it cannot be the API's, which shows no pages and leads nowhere else: a network's login does."""
        return 300 <= self.status < 400 or (self.is_page and self.status < 500)


async def reach(url: str, timeout_secs: float, user_agent: str) -> Reached | Obstacle:
    """Ask the host of this URL. Never raises for what a network can do."""
    try:
        async with session_of(user_agent, timeout_secs) as session:
            return _reached(await ask(session, f"{url}{HELLO}", {}, most=MOST_BYTES))
    except BlockedError as blocked:
        return blocked.obstacle


def _reached(answer: Answer) -> Reached:
    date = parse_http_date(answer.headers.get("Date", ""))
    now = date or datetime.now(UTC)
    refusal = wire.refusal(answer.status, answer.headers, answer.body, now)
    return Reached(answer.status, date, refusal.reason is Reason.CHALLENGE, _is_page(answer))


def _is_page(answer: Answer) -> bool:
    kind = answer.headers.get("Content-Type", "").lower()
    return kind.startswith("text/html") or answer.body.lstrip()[:9].lower().startswith(_PAGES)
