"""Whether the API can be reached, and what time it is there: one GET that carries no token and asks for nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitor.api import wire
from monitor.core.errors import Reason
from monitor.core.http_times import parse_http_date
from monitor.web import Answer, BlockedError, Obstacle, ask, session_of

MOST_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer, whatever it says. `date` is the server's own, to the second; None where it gives none."""

    status: int
    date: datetime | None
    is_challenge: bool


async def reach(url: str, timeout_secs: float, user_agent: str) -> Reached | Obstacle:
    """Ask the host of this URL. Never raises for what a network can do."""
    try:
        async with session_of(user_agent, timeout_secs) as session:
            return _reached(await ask(session, f"{url}/", {}, most=MOST_BYTES))
    except BlockedError as blocked:
        return blocked.obstacle


def _reached(answer: Answer) -> Reached:
    date = parse_http_date(answer.headers.get("Date", ""))
    now = date or datetime.now(UTC)
    refusal = wire.refusal(answer.status, answer.headers, answer.body, now)
    return Reached(answer.status, date, refusal.reason is Reason.CHALLENGE)
