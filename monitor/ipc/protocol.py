"""What travels: one request line, and a reply that opens with an exit code. Pure, and light enough for a prompt.

A request is one JSON object on one line. A reply is the exit code on a line of its own, and then, until the
connection ends, text for standard output, or one line for standard error where the code is not 0. A stream
sends lines without end, and an empty one every two seconds to say that it lives.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from monitor.core.errors import TrackerError

VERSION = 1
REQUEST_BYTES = 65536
BEAT_SECS = 2.0
SILENT_SECS = 3 * BEAT_SECS
"""After this long without a byte of a stream its sender is taken for stopped."""


def render_request(request: "Mapping[str, Any]") -> bytes:
    """The line that asks for this. Raises TrackerError where it is too long to be sent."""
    fields = {"v": VERSION, **request}
    line = "{" + ",".join(f"{_json(key)}:{_json(value)}" for key, value in fields.items()) + "}\n"
    if len(line) > REQUEST_BYTES:
        from monitor.core.errors import TrackerError

        raise TrackerError(f"the request is longer than {REQUEST_BYTES // 1024} KiB")
    return line.encode()


def parse_request(line: bytes) -> "dict[str, Any] | None":
    """What is asked; None of a line that is no request."""
    import json

    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict) or not isinstance(request.get("ask"), str):
        return None
    return request


def render_reply(code: int, text: str) -> bytes:
    return f"{code}\n{text}".encode(errors="backslashreplace")


def render_lines(text: str) -> bytes:
    """What a stream sends at once: the lines of the text, without empty ones, which mean something else."""
    lines = [line for line in text.split("\n") if line]
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def parse_code(head: bytes) -> int:
    """The exit code that a reply opens with. Raises TrackerError for anything else."""
    if head.isdigit() and len(head) <= 3:
        return int(head)
    from monitor.core.errors import TrackerError

    raise TrackerError("what answers is no running monitor")


def refusal(code: int, text: bytes) -> "TrackerError":
    """The expected failure that a reply tells of, with its exit code."""
    from monitor.core.errors import TrackerError

    error = TrackerError(text.decode(errors="replace").strip())
    error.exit_code = code
    return error


def _json(value: object) -> str:
    """JSON, without its module for what needs no escapes: importing that takes longer than asking."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and value - value == 0:  # so it is finite
        return repr(value)
    if isinstance(value, str) and _needs_no_escapes(value):
        return f'"{value}"'
    import json

    return json.dumps(value)


def _needs_no_escapes(text: str) -> bool:
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
