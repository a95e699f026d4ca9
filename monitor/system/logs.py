"""Where log lines go, how one looks, and what never gets into them: no token ever."""

import json
import logging
import logging.handlers
import os
import platform
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.system import stdio
from monitor.system.files import private_folder

_CREDENTIAL: Final = re.compile(
    r"""(?i)(bearer\s+|sessionkey=|["'](?:access|refresh)_?token["']\s*:\s*["'])[^\s"',;&]{12,}"""
)

_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG: Final = 7


def redact(text: str) -> str:
    """The text without tokens and session keys."""
    return _CREDENTIAL.sub(r"\1…", stdio.redact(text))


def visible_lines(text: str) -> str:
    """The text with its line ends, but with every other control character spelled out."""
    return "\n".join(
        re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", _spelled, line) for line in text.split("\n")
    )


def _spelled(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


class Lines(logging.Formatter):
    """One line a record, with its instant in UTC; only a traceback adds more."""

    converter = staticmethod(time.gmtime)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"

    def __init__(self) -> None:
        super().__init__(self.form, datefmt="%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        return super().formatMessage(record).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        return visible_lines(redact(super().format(record)))


class JournalLines(Lines):
    """For the journal, which knows the instant: each line begins with its priority, as sd-daemon(3) has it."""

    form = "%(name)s: %(message)s"

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_priority(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class JsonLines(Lines):
    """One JSON object a record, in ASCII: time, level, logger, message, and where known account and error."""

    def format(self, record: logging.LogRecord) -> str:
        values = {
            "time": _instant(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        extra = {"account": getattr(record, "account", None), "error": self._error(record)}
        return json.dumps(values | {key: redact(str(text)) for key, text in extra.items() if text})

    def _error(self, record: logging.LogRecord) -> str:
        parts = [
            self.formatException(record.exc_info) if record.exc_info else record.exc_text,
            self.formatStack(record.stack_info) if record.stack_info else None,
        ]
        return "\n".join(part for part in parts if part)


class RepeatLimit(logging.Filter):
    """Lets the same message through ten times a minute, and says afterwards how many were left out.

    A library that retries without end, as asyncio does when descriptors run out, would fill the disk.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = f"{record.name} {record.msg} {record.args}", self._now()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= REPEAT_SECS:
            if count > MOST_REPEATS:
                left_out = count - MOST_REPEATS
                record.msg, record.args = (
                    f"{record.getMessage()} ({left_out} more were left out)",
                    (),
                )
            since, count = now, 0
        self._seen[key] = since, count + 1
        if len(self._seen) > _MOST_MESSAGES:
            self._seen = {k: v for k, v in self._seen.items() if now - v[0] < REPEAT_SECS}
        return count < MOST_REPEATS


def _priority(level: int) -> int:
    """syslog(3)'s number for a level."""
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _instant(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


__all__ = ["configure", "crash_report", "redact"]

MOST_REPEATS: Final = 10
REPEAT_SECS: Final = 60.0
_MOST_MESSAGES: Final = 1000
FILE_BYTES: Final = 1_000_000
FILES_KEPT: Final = 1
_NEVER: Final = logging.CRITICAL + 1

LIBRARIES: Final = {
    "desktop_notifier": logging.CRITICAL,  # tracebacks of failures that the notifier reports itself
    "dbus_fast": logging.CRITICAL,
    "aiohttp.access": logging.WARNING,
    "keyring": logging.WARNING,
    "asyncio": logging.INFO,
    "apprise": _NEVER,  # it quotes parts of its URLs, which are secrets; so may what it sends them with
    "urllib3": _NEVER,
    "oauthlib": _NEVER,
    "requests_oauthlib": _NEVER,
}

_FORMS: Final[Mapping[tuple[str, bool], type[Lines]]] = {
    ("plain", False): Lines,
    ("plain", True): JournalLines,
    ("json", False): JsonLines,
    ("json", True): JsonLines,
}

_log = logging.getLogger(__name__)


def configure(
    level: int | str,
    *,
    stream: TextIO | None = None,
    file: Path | None = None,
    form: str = "plain",
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send every log record, warning and stray exception to `file`, else to `stream`, else to standard error.

    The form is `plain` or `json`; plain lines are shorter where the stream leads to the journal. May be called
    again; the last call holds. Raises TrackerError where the file cannot be opened.
    """
    handler = logging.StreamHandler(stream) if file is None else _opened(file)
    into_journal = file is None and _is_journal(environ, stream or sys.stderr)
    handler.setFormatter(_FORMS[form, into_journal]())
    handler.addFilter(RepeatLimit())
    _replace_handler(handler)
    logging.getLogger().setLevel(level)
    logging.captureWarnings(True)
    for name, library_level in LIBRARIES.items():
        logging.getLogger(name).setLevel(library_level)
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread


def crash_report(error: BaseException) -> str:
    """What to show of a bug: the traceback and the versions, without local variables and secrets."""
    lines = traceback.TracebackException.from_exception(error).format()
    return (
        "Claude Tracker has stopped because of a bug in it. Please report this; it holds no secret.\n"
        f"claude-tracker {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{visible_lines(redact(''.join(lines)))}"
    )


def _is_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """A stream that was led elsewhere since is not the journal any more, says systemd.exec(5) of the variable."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """Readable by the user alone, and never complaining on standard error, which may be the screen."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if sys.platform != "win32":
            os.fchmod(descriptor, 0o600)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), self.encoding, self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """A full disk is no reason to stop, and there is nowhere to say it."""


def _opened(file: Path) -> _PrivateFile:
    try:
        private_folder(file.parent)
        return _PrivateFile(
            file,
            maxBytes=FILE_BYTES,
            backupCount=FILES_KEPT,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as error:
        raise TrackerError(f"{file}: the log cannot be written: {error.strerror}") from None


def _replace_handler(handler: logging.Handler) -> None:
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h.formatter, Lines)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)


def _log_unraisable(stray: "sys.UnraisableHookArgs") -> None:
    _log.error("ignored in %r", stray.object, exc_info=stray.exc_value)


def _log_thread(stray: threading.ExceptHookArgs) -> None:
    name = stray.thread.name if stray.thread else "?"
    _log.error("a bug in the thread %s", name, exc_info=stray.exc_value)
