"""Notifications of the terminal that the program runs on, which also work over ssh, and its bell.

Neither counts as sent unless the text of the alert stood on the screen: a bell says nothing, and no terminal answers.

Terminals disagree on the escape sequence, and cannot be asked safely: the environment says which one it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from zlib import crc32

from monitor.core.alerts.rules import Alert, Urgency
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.channel import Channel

Show = Callable[[Sequence[Alert], bytes], Awaitable[None]]
"""Writes a sequence to the terminal once the text of the alerts stands on it. Raises ChannelError where it does not."""

_OSC: Final = "\x1b]"
_END: Final = "\x1b\\"
_WITH_TITLE: Final = ("ghostty", "wezterm", "foot", "rxvt", "konsole", "contour", "vte")
_KITTY_URGENCY: Final = {Urgency.LOW: 0, Urgency.NORMAL: 1, Urgency.CRITICAL: 2}


class Terminal(Channel):
    """Raises `no_capability` on a terminal that is not known to show notifications."""

    name = "terminal"

    def __init__(self, show: Show | None, environ: Mapping[str, str]) -> None:
        self._show = show
        self._environ = environ

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        sequence = render_notification(message, self._environ)
        if sequence is None:
            unknown = "this terminal is not known to show notifications"
            raise ChannelError(ChannelReason.NO_CAPABILITY, unknown)
        await _show_alerts(self._show, alerts, sequence.encode())


class Bell(Channel):
    """The last resort: it only says that there is something to see in the table."""

    name = "bell"

    def __init__(self, show: Show | None) -> None:
        self._show = show

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:  # noqa: ARG002 - it only rings
        await _show_alerts(self._show, alerts, b"\a")


async def _show_alerts(show: Show | None, alerts: Sequence[Alert], sequence: bytes) -> None:
    if show is None:
        raise ChannelError(ChannelReason.UNAVAILABLE, "there is no terminal here")
    try:
        await show(alerts, sequence)
    except OSError as error:
        gone = f"the terminal is gone: {error.strerror}"
        raise ChannelError(ChannelReason.UNAVAILABLE, gone) from error


def render_notification(message: Message, environ: Mapping[str, str]) -> str | None:
    """Return the escape sequence that shows the message on this terminal; None where none is known to."""
    names = _names(environ)
    title, body = _field(message.title), _field(message.body)
    if "kitty" in names:  # in two parts; a notification of the same id would replace the one before
        key = f"i={crc32(f'{title};{body}'.encode()):x}"
        parts = f"{key}:d=0:u={_KITTY_URGENCY[message.urgency]};{title}", f"{key}:p=body;{body}"
        sequence = "".join(f"{_OSC}99;{part}{_END}" for part in parts)
    elif any(name in names for name in _WITH_TITLE):
        sequence = f"{_OSC}777;notify;{title};{body}{_END}"
    elif "iterm" in names:
        sequence = f"{_OSC}9;{title}. {body}{_END}"
    else:
        return None
    if environ.get("TMUX"):
        # tmux drops it unless `allow-passthrough` is on, and does not say so; a bell always passes.
        escaped = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{escaped}{_END}\a"
    return sequence


def _names(environ: Mapping[str, str]) -> str:
    """Return all hints at which terminal it is; tmux hides its name, but not these variables of it."""
    if environ.get("STY"):
        return ""  # GNU screen lets nothing through
    names = [environ.get(key, "") for key in ("TERM", "TERM_PROGRAM", "LC_TERMINAL")]
    hints = {
        "KITTY_WINDOW_ID": "kitty",
        "GHOSTTY_RESOURCES_DIR": "ghostty",
        "WEZTERM_PANE": "wezterm",
        "ITERM_SESSION_ID": "iterm",
        "KONSOLE_VERSION": "konsole",
        "VTE_VERSION": "vte",
    }
    names += [name for key, name in hints.items() if environ.get(key)]
    return " ".join(names).lower()


def _field(text: str) -> str:
    """Make a text safe for a sequence: a semicolon would end the field, and a line end the whole sequence."""
    return " · ".join(text.replace(";", ",").splitlines())
