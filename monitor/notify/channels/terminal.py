"""Notifications of the terminal that the program runs on, which also work over ssh, and its bell.

Terminals disagree on the escape sequence, and cannot be asked safely: the environment says which one it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from zlib import crc32

from monitor.core.alerts.rules import Urgency
from monitor.core.alerts.text import Message
from monitor.core.effects import Alert
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.channel import Channel

Write = Callable[[bytes], None]

_OSC: Final = "\x1b]"
_END: Final = "\x1b\\"
_WITH_TITLE: Final = ("ghostty", "wezterm", "foot", "rxvt", "konsole", "contour", "vte")
_TEXT_ONLY: Final = ("iterm",)
_KITTY_URGENCY: Final = {Urgency.LOW: 0, Urgency.NORMAL: 1, Urgency.CRITICAL: 2}


class Terminal(Channel):
    """Raises `no_capability` on a terminal that is not known to show notifications."""

    name = "terminal"

    def __init__(self, write: Write | None, environ: Mapping[str, str]) -> None:
        self._write = write
        self._environ = environ

    async def send(self, message: Message, _: Sequence[Alert]) -> None:
        """Raises ChannelError."""
        sequence = render_notification(message, self._environ)
        if sequence is None:
            unknown = "this terminal is not known to show notifications"
            raise ChannelError(ChannelReason.NO_CAPABILITY, unknown)
        _write(self._write, sequence.encode())


class Bell(Channel):
    """The last resort, which says only that there is something to look at."""

    name = "bell"

    def __init__(self, write: Write | None) -> None:
        self._write = write

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:  # noqa: ARG002 - it only rings
        """Raises ChannelError."""
        _write(self._write, b"\a")


def _write(write: Write | None, sequence: bytes) -> None:
    """Hand the sequence to the terminal's owner. Raises ChannelError where there is no terminal, or it is gone."""
    if write is None:
        raise ChannelError(ChannelReason.UNAVAILABLE, "there is no terminal here")
    try:
        write(sequence)
    except OSError as error:
        gone = f"the terminal is gone: {error.strerror}"
        raise ChannelError(ChannelReason.UNAVAILABLE, gone) from error


def render_notification(message: Message, environ: Mapping[str, str]) -> str | None:
    """The escape sequence that shows the message on this terminal; None where none is known to."""
    names = _names(environ)
    title, body = _field(message.title), _field(message.body)
    if "kitty" in names:
        sequence = _kitty(title, body, message.urgency)
    elif any(name in names for name in _WITH_TITLE):
        sequence = f"{_OSC}777;notify;{title};{body}{_END}"
    elif any(name in names for name in _TEXT_ONLY):
        sequence = f"{_OSC}9;{title}. {body}{_END}"
    else:
        return None
    return _through_tmux(sequence) if environ.get("TMUX") else sequence


def _kitty(title: str, body: str, urgency: Urgency) -> str:
    """In two parts; a notification of the same id would replace the one before."""
    key = f"i={crc32(f'{title};{body}'.encode()):x}"
    parts = f"{key}:d=0:u={_KITTY_URGENCY[urgency]};{title}", f"{key}:p=body;{body}"
    return "".join(f"{_OSC}99;{part}{_END}" for part in parts)


def _names(environ: Mapping[str, str]) -> str:
    """All that hints at the terminal; tmux hides the plain names, but these variables of the outer one remain."""
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
    """One line: a semicolon would end the field, or begin another command, and a line end the sequence."""
    return " · ".join(text.replace(";", ",").splitlines())


def _through_tmux(sequence: str) -> str:
    """tmux drops it unless `allow-passthrough` is on, and does not say so; a bell always passes."""
    escaped = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{escaped}{_END}\a"
