"""The protocol of the socket: one request line, and a reply that opens with an exit code; both ends are one user's.

A request is one JSON object on one line: `v`, the version of this protocol, and a request of `monitor.core.commands`,
whose class stands under `type`. A reply is the exit code on a line of its own, and then, until the connection ends,
text for standard output, or one line for standard error where the code is not 0. A stream sends lines without end, and
an empty one every two seconds to say that it lives.
"""

import json
import socket
import sys
from collections.abc import Mapping

VERSION = 3
REQUEST_BYTES = 65536
BEAT_SECS = 2.0
SILENT_SECS = 3 * BEAT_SECS
"""After this long without a byte of a stream its sender is taken for stopped."""

_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
_XUCRED_BYTES = 76
_UCRED_BYTES = 12


def render_request(request: Mapping[str, object]) -> bytes:
    """Make the line of a request that is plain JSON values. Raises TrackerError where it is too long to be sent."""
    line = json.dumps({"v": VERSION, **request}, separators=(",", ":")).encode() + b"\n"
    if len(line) > REQUEST_BYTES:
        raise tracker_error(f"the request is longer than {REQUEST_BYTES // 1024} KiB")
    return line


def parse_request(line: bytes) -> dict[str, object] | None:
    """Return the object of a line; None of a line that is no request."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) and isinstance(request.get("type"), str) else None


def render_reply(code: int, text: str) -> bytes:
    return f"{code}\n{text}".encode(errors="backslashreplace")


def render_lines(text: str) -> bytes:
    """Join what a stream sends at once: the lines of the text, without empty ones, which mean something else."""
    lines = [line for line in text.split("\n") if line]
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def parse_code(head: bytes) -> int:
    """Return the exit code that a reply opens with. Raises TrackerError for anything else."""
    if head.isdigit() and len(head) <= 3:
        return int(head)
    raise tracker_error("what answers is no running monitor")


def refusal(code: int, text: bytes) -> Exception:
    """Make the expected failure that a reply tells of, with its exit code."""
    error = tracker_error(text.decode(errors="replace").strip())
    error.exit_code = code  # type: ignore[attr-defined]
    return error


def tracker_error(text: str) -> Exception:
    """Make a TrackerError, whose imports take longer than asking does."""
    from monitor.core.errors import TrackerError

    return TrackerError(text)


def peer_uid(connection: socket.socket, platform: str = sys.platform) -> int:
    """Return the user id of a Unix socket's peer, by the kernel's word; -1 where it has none."""
    try:
        if platform == "linux":
            return parse_ucred(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED_BYTES)
            )
        return parse_xucred(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))
    except OSError:
        return -1


def parse_ucred(data: bytes) -> int:
    """Read Linux's `struct ucred`: pid, uid, gid, of four bytes each."""
    if len(data) != _UCRED_BYTES:
        return -1
    return int.from_bytes(data[4:8], sys.byteorder)


def parse_xucred(data: bytes) -> int:
    """Read the `struct xucred` of <sys/ucred.h> on macOS: a version, which is 0, the uid, then groups."""
    if len(data) < 8 or int.from_bytes(data[:4], sys.byteorder) != 0:
        return -1
    return int.from_bytes(data[4:8], sys.byteorder)
