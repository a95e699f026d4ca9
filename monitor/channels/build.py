"""Which channels the names in the settings mean on this platform."""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from functools import partial

from monitor.channels.bell import Bell
from monitor.channels.desktop import Desktop
from monitor.channels.osascript import Osascript
from monitor.channels.terminal import Terminal, Write
from monitor.channels.terminal_notifier import TerminalNotifier
from monitor.channels.text import worded

AnyChannel = Desktop | TerminalNotifier | Osascript | Terminal | Bell


def channels_for(
    names: Sequence[str],
    *,
    platform: str,
    write: Write | None,
    environ: Mapping[str, str],
    zone: tzinfo | None = None,
) -> tuple[AnyChannel, ...]:
    """The channels in order of preference. `platform` is as in `sys.platform`; a `zone` of None is the machine's.

    `desktop` stands for the platform's whole chain, and where there is a terminal to `write` to, it and its bell
    are the last resorts after that.
    """
    words = partial(worded, zone=zone)
    make: dict[str, Callable[[], AnyChannel]] = {
        "desktop": lambda: Desktop(words, markup=platform not in ("darwin", "win32")),
        "terminal-notifier": lambda: TerminalNotifier(words),
        "osascript": lambda: Osascript(words),
        "terminal": lambda: Terminal(words, write, environ),
        "bell": lambda: Bell(write),
    }
    return tuple(make[name]() for name in _chain(names, platform, write is not None))


def _chain(names: Sequence[str], platform: str, has_terminal: bool) -> list[str]:
    """The names with `desktop` spelled out, each once."""
    chain = list(names)
    if "desktop" in names:
        if platform == "darwin":
            place = chain.index("desktop") + 1
            chain[place:place] = ["terminal-notifier", "osascript"]
        if has_terminal:
            chain += ["terminal", "bell"]
    return list(dict.fromkeys(chain))
