"""Reads what Claude Code tells its status line's command: JSON on standard input, of which two fields are kept."""

import json
import os
import select
import time

MOST_BYTES = 1 << 20
_PIECE = 65536


def read_within(deadline: float, descriptor: int = 0) -> dict[str, object]:
    """Read `rate_limits` and `session_id` from standard input; empty without limits, as before a first answer.

    Raises TrackerError for what is no such document, or has not ended by `deadline` (of the monotonic clock).
    """
    return parse_input(_all(descriptor, deadline))


def parse_input(document: bytes) -> dict[str, object]:
    """Parse one document. Raises TrackerError for what is no JSON object."""
    try:
        said = json.loads(document.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise _trouble("standard input is not Claude Code's status line input: a JSON object")
    limits, session = said.get("rate_limits"), said.get("session_id")
    if not isinstance(limits, dict) or not limits:
        return {}
    whose = {"session_id": session} if isinstance(session, str) else {}
    return {"rate_limits": limits, **whose}


def _all(descriptor: int, deadline: float) -> bytes:
    if os.isatty(descriptor):
        raise _trouble("Claude Code is to run this, as its statusLine's command: see the README")
    data = b""
    while piece := _piece(descriptor, deadline):
        data += piece
        if len(data) > MOST_BYTES:
            raise _trouble(f"standard input holds more than {MOST_BYTES >> 20} MiB")
    return data


def _piece(descriptor: int, deadline: float) -> bytes:
    left = max(deadline - time.monotonic(), 0)
    if not select.select([descriptor], [], [], left)[0]:
        raise _trouble("standard input has not ended in time")
    try:
        return os.read(descriptor, _PIECE)
    except OSError as error:
        raise _trouble(f"standard input: {error.strerror}") from None


def _trouble(text: str) -> Exception:
    from monitor.core.errors import TrackerError

    return TrackerError(text)
