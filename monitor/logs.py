"""Where log lines go, and what never gets into them: to one stream or one private file, and no token ever."""

import logging
import logging.handlers
import os
import platform
import re
import sys
import threading
import time
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.files import private_folder

FILE_BYTES: Final = 1_000_000
FILES_KEPT: Final = 1
LIBRARIES: Final = {
    "desktop_notifier": logging.CRITICAL,  # tracebacks of failures that the notifier reports itself
    "dbus_fast": logging.CRITICAL,
    "aiohttp.access": logging.WARNING,
    "keyring": logging.WARNING,
    "asyncio": logging.INFO,
}

_TOKEN: Final = re.compile(r"sk-ant-[\w-]+")
_CREDENTIAL: Final = re.compile(
    r"""(?i)(bearer\s+|sessionkey=|["'](?:access|refresh)_?token["']\s*:\s*["'])[^\s"',;&]{12,}"""
)

_log = logging.getLogger(__name__)


def configure(level: int | str, *, stream: TextIO | None = None, file: Path | None = None) -> None:
    """Send every log record, warning and stray exception to `file`, else to `stream`, else to standard error.

    May be called again; the last call holds. Raises TrackerError where the file cannot be opened.
    """
    handler = logging.StreamHandler(stream) if file is None else _opened(file)
    handler.setFormatter(_Lines())
    _replace_handler(handler)
    logging.getLogger().setLevel(level)
    logging.captureWarnings(True)
    for name, library_level in LIBRARIES.items():
        logging.getLogger(name).setLevel(library_level)
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread


def redact(text: str) -> str:
    """The text without tokens and session keys."""
    return _CREDENTIAL.sub(r"\1…", _TOKEN.sub("sk-ant-…", text))


def crash_report(error: BaseException) -> str:
    """What to show of a bug: the traceback and the versions, without local variables and secrets."""
    lines = traceback.TracebackException.from_exception(error).format()
    return (
        "Claude Tracker has stopped because of a bug in it. Please report this; it holds no secret.\n"
        f"claude-tracker {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{_visible_lines(redact(''.join(lines)))}"
    )


class _Lines(logging.Formatter):
    """One line a record, with its instant in UTC; only a traceback adds more."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        return super().formatMessage(record).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        return _visible_lines(redact(super().format(record)))


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
    for old in [h for h in root.handlers if isinstance(h.formatter, _Lines)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)


def _visible_lines(text: str) -> str:
    """The text with its line ends, but with every other control character spelled out."""
    return "\n".join(
        re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", _spelled, line) for line in text.split("\n")
    )


def _spelled(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


def _log_unraisable(stray: "sys.UnraisableHookArgs") -> None:
    _log.error("ignored in %r", stray.object, exc_info=stray.exc_value)


def _log_thread(stray: threading.ExceptHookArgs) -> None:
    name = stray.thread.name if stray.thread else "?"
    _log.error("a bug in the thread %s", name, exc_info=stray.exc_value)
