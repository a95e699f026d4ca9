"""The log: where its lines go, their format, and what is kept out of them: tokens.

A thread of its own writes them: whatever reads them may have stopped, as a terminal does at Ctrl-S.
"""

import contextlib
import errno
import json
import logging
import os
import platform
import queue
import re
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.system import stdio
from monitor.system.files import private_folder

_CREDENTIAL: Final = re.compile(
    r"""(?i)(bearer\s+|sessionkey=|["'](?:access|refresh)_?token["']\s*:\s*["'])[^\s"',;&]{12,}"""
)

_PRIORITIES: Final = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""syslog(3)'s number for each level."""


def redact(text: str) -> str:
    """Remove tokens and session keys from the text."""
    return _CREDENTIAL.sub(r"\1…", stdio.redact(text))


def visible_lines(text: str) -> str:
    """Spell out every control character but line ends."""

    def spell_out(match: re.Match[str]) -> str:
        return match[0].encode("unicode_escape").decode()

    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", spell_out, text)


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
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class JsonLines(Lines):
    """One JSON object a record, in ASCII: time, level, logger, message, and where known account and error."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        error = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        if record.stack_info:
            error = f"{error or ''}\n{self.formatStack(record.stack_info)}".strip()
        values = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if account := getattr(record, "account", None):
            values["account"] = account
        if error:
            values["error"] = error
        return json.dumps({key: redact(str(value)) for key, value in values.items()})


class RepeatLimit(logging.Filter):
    """Passes the same message ten times a minute, and says afterwards how many were left out.

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
            self._seen.clear()  # looking for old ones each time would cost more than the line itself
        return count < MOST_REPEATS


MOST_REPEATS: Final = 10
REPEAT_SECS: Final = 60.0
_MOST_MESSAGES: Final = 1000
LINES_KEPT: Final = 1000
"""So many lines wait to be written; newer ones are dropped, and counted."""

FLUSH_SECS: Final = 0.3
"""The end of the process waits at most so long for lines that nobody reads."""

FILE_BYTES: Final = 1_000_000
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

    The form is `plain` or `json`; plain lines are shorter where the stream leads to the journal. A second call
    replaces the first. Raises TrackerError where the file cannot be opened.
    """
    stream = stream or sys.stderr
    try:
        if file is not None:
            private_folder(file.parent)
        write = _writer_of(stream) if file is None else _PrivateFile(file).write
    except OSError as error:
        raise TrackerError(f"{file}: the log cannot be written: {error.strerror}") from None
    plain = JournalLines if file is None and _is_journal(environ, stream) else Lines
    handler, root = LogQueue(write, JsonLines() if form == "json" else plain()), logging.getLogger()
    handler.addFilter(RepeatLimit())
    for old in [h for h in root.handlers if isinstance(h, LogQueue)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    for name, library_level in LIBRARIES.items():
        logging.getLogger(name).setLevel(library_level)
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread


def crash_report(error: BaseException) -> str:
    """Render the page about a bug: the traceback and the versions, without local variables and secrets."""
    lines = traceback.TracebackException.from_exception(error).format()
    return (
        "Claude Tracker has stopped because of a bug in it. Please report this; it contains no secret.\n"
        f"claude-tracker {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{visible_lines(redact(''.join(lines)))}"
    )


def _is_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Say whether the stream is the journal, which it is not once it was redirected: see systemd.exec(5)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class LogQueue(logging.Handler):
    """Passes records to a thread that writes them, and never waits for it; `dropped` counts those without room."""

    def __init__(self, write: Callable[[str], object], form: Lines) -> None:
        super().__init__()
        self.setFormatter(form)
        self.dropped = 0
        self._write = write
        self._reported = 0
        self._records: queue.Queue[logging.LogRecord] = queue.Queue(LINES_KEPT)
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:  # the arguments are rendered now, for they may change
            record.msg = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a wrong number of them, or what their own methods raise
            record.msg = f"{record.msg} ({type(error).__name__}: {error})"
        record.args = None
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Wait a moment until all is written."""
        records = self._records
        with records.all_tasks_done:
            records.all_tasks_done.wait_for(lambda: not records.unfinished_tasks, FLUSH_SECS)

    def close(self) -> None:
        self.flush()
        super().close()

    def _run(self) -> None:
        while True:
            record = self._records.get()
            self._write_line(record)
            if self.dropped > self._reported:
                lost, self._reported = self.dropped - self._reported, self.dropped
                words = f"{lost} log lines were dropped: their reader was too slow"
                line = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
                self._write_line(logging.makeLogRecord(line | {"msg": words}))
            self._records.task_done()

    def _write_line(self, record: logging.LogRecord) -> None:
        """Write one line; a full disk or a closed pipe does not stop the program, and there is nowhere to report it."""
        with contextlib.suppress(Exception):
            self._write(f"{self.format(record)}\n")


def _writer_of(stream: TextIO) -> Callable[[str], object]:
    """Return what writes to the stream's descriptor: at exit, Python would wait for a stream whose write is stuck."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # io.StringIO has none
        return stream.write
    return partial(_write_all, descriptor)


def _write_all(descriptor: int, text: str) -> None:
    left = text.encode("utf-8", "backslashreplace")
    while left:
        left = left[os.write(descriptor, left) :]


class _PrivateFile:
    """A file that only the user may read. Before it grows too large it is renamed to `<name>.1`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._open()

    def write(self, text: str) -> None:
        if os.fstat(self._descriptor).st_size + 4 * len(text) > FILE_BYTES:
            with contextlib.suppress(FileNotFoundError):
                self._path.replace(f"{self._path}.1")
            full, self._descriptor = self._descriptor, self._open()
            os.close(full)
        _write_all(self._descriptor, text)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "Not a regular file", str(self._path))
        os.fchmod(descriptor, 0o600)
        return descriptor


def _log_unraisable(stray: "sys.UnraisableHookArgs") -> None:
    _log.error("ignored in %r", stray.object, exc_info=stray.exc_value)


def _log_thread(stray: threading.ExceptHookArgs) -> None:
    name = stray.thread.name if stray.thread else "?"
    _log.error("a bug in the thread %s", name, exc_info=stray.exc_value)
