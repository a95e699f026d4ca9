"""What a log record looks like: plain lines, lines for the journal, or JSON; and never a token in it. Pure."""

import json
import logging
import re
import time
from datetime import UTC, datetime
from typing import Final

_TOKEN: Final = re.compile(r"sk-ant-[\w-]+")
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
    return _CREDENTIAL.sub(r"\1…", _TOKEN.sub("sk-ant-…", text))


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


def _priority(level: int) -> int:
    """syslog(3)'s number for a level."""
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _instant(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
