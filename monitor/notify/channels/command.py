"""Gives alerts to a program of the user's choice: as JSON on its standard input, and in its environment.

The environment is ours, and in addition has `CLAUDE_TRACKER_` and: `KIND` (`summary` for several alerts), `RULE`,
`ACCOUNT`, `WINDOW`, `UTILIZATION`, `THRESHOLD`, `RESETS_AT`, `AT`, `DETAIL`, `TITLE`, `BODY`, `URGENCY` and `COUNT`.
What the program prints is discarded; an exit code other than 0 says that it did not send them.

The JSON document is also the body of a webhook:

    {"version": 1, "summary": false, "title": "work: 5h at 87%", "body": "Passed 80%. …", "urgency": "normal",
     "alerts": [{"id": "5f0c…", "kind": "threshold", "rule": "threshold_80", "account": "work", "window": "5h",
       "utilization": 0.87, "threshold": 0.8, "resets_at": "2026-11-22T14:14:00Z", "at": "2026-11-22T12:00:00Z",
       "detail": "", "title": "work: 5h at 87%", "body": "Passed 80%. …"}]}

`summary` says that there are several alerts; title and body on top are what a person is to read in any case.
`utilization` and `threshold` are ratios, and null where there is none; `window` is empty for a whole account, and
`account` for all of them. `resets_at` is the instant that matters: a window's end, a login's, when it will be full.
`id` is the same for each delivery of one alert. New keys may come; `version` changes when one goes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Final

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.alerts.text import Message, format_alert
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.format import iso
from monitor.core.sanitize import one_line
from monitor.notify.channel import Channel
from monitor.system.subprocesses import capture_stderr, describe_exit

VERSION: Final = 1

Json = dict[str, Any]


class CommandChannel(Channel):
    """`argv` is looked up on PATH for each alert, and never given to a shell; no argument is replaced."""

    name = "command"

    def __init__(self, argv: Sequence[str], limit: float) -> None:
        self._argv = tuple(argv)
        self.limit_secs = limit

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        """Raises ChannelError. The words of the program are not passed on: it may quote its input."""
        code, _ = await _run(
            self._argv,
            self.limit_secs,
            stdin=render_alerts(message, alerts),
            environ={**os.environ, **alert_variables(message, alerts)},
        )
        if code:
            raise ChannelError(ChannelReason.ERROR, f"{self._argv[0]} {describe_exit(code)}")


async def run_program(name: str, *arguments: str, limit: float) -> None:
    """Run a program to its end. Raises ChannelError where it is missing, fails, or takes longer than `limit`."""
    code, stderr = await _run((name, *arguments), limit)
    if code:
        words = " ".join(stderr.decode(errors="replace").split())[:200]
        detail = f"{name} {describe_exit(code)}{f': {words}' if words else ''}"
        raise ChannelError(ChannelReason.ERROR, detail)


async def _run(argv: Sequence[str], limit: float, **given: Any) -> tuple[int, bytes]:
    name, *arguments = argv
    program = shutil.which(name)
    if program is None:
        where = "missing, or no program" if os.sep in name else "not on PATH"
        raise ChannelError(ChannelReason.UNAVAILABLE, f"{name} is {where}")
    try:
        return await capture_stderr(program, *arguments, limit_secs=limit, **given)
    except TimeoutError:
        late = f"{name} took longer than {limit:g} s"
        raise ChannelError(ChannelReason.TIMEOUT, late) from None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "cannot be started"
        raise ChannelError(ChannelReason.UNAVAILABLE, f"{name}: {why}") from None


def alert_document(message: Message, alerts: Sequence[Alert]) -> Json:
    """Make the document of a delivery as the module's docstring shows it."""
    return {
        "version": VERSION,
        "summary": len(alerts) != 1,
        "title": message.title,
        "body": message.body,
        "urgency": str(message.urgency),
        "alerts": [_alert(alert) for alert in alerts],
    }


def render_alerts(message: Message, alerts: Sequence[Alert]) -> bytes:
    return json.dumps(alert_document(message, alerts)).encode()


def _alert(alert: Alert) -> Json:
    message = format_alert(alert)
    return {
        "id": delivery_id((alert,)),
        "kind": str(alert.kind),
        "rule": alert.rule,
        "account": alert.account,
        "window": alert.window,
        "utilization": alert.utilization if alert.window else None,
        "threshold": alert.threshold,
        "resets_at": alert.resets_at and iso(alert.resets_at),
        "at": iso(alert.at),
        "detail": alert.detail,
        "title": message.title,
        "body": message.body,
    }


_FIELDS: Final = (
    "kind", "rule", "account", "window", "utilization", "threshold", "resets_at", "at", "detail",
)  # fmt: skip


def alert_variables(message: Message, alerts: Sequence[Alert]) -> Mapping[str, str]:
    """Return the document's main fields as `CLAUDE_TRACKER_…`; of a summary only its text, count, urgency and kind."""
    whole = alert_document(message, alerts)
    fields: Json = {key: whole[key] for key in ("title", "body", "urgency")}
    one = whole["alerts"][0] if len(alerts) == 1 else {"kind": AlertKind.SUMMARY}
    fields |= {key: one.get(key) for key in _FIELDS} | {"count": len(alerts)}
    texts = {key: "" if value is None else str(value) for key, value in fields.items()}
    return {  # an environment holds lines of visible text
        f"CLAUDE_TRACKER_{key.upper()}": "\n".join(
            one_line(line, len(line)) for line in text.split("\n")
        )
        for key, text in texts.items()
    }


def delivery_id(alerts: Sequence[Alert]) -> str:
    """Hash the alerts: the same for the same ones in any process, and nothing can be read from it.

    A rule fires once in each window period; what has no period is told apart by its instant.
    """
    keys = ["\x1f".join((a.account, a.window, a.rule, a.period or iso(a.at))) for a in alerts]
    return hashlib.sha256("\x1e".join(keys).encode(errors="replace")).hexdigest()[:32]
