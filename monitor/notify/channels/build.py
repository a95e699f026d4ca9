"""Which channels the names in the settings mean on this platform."""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from types import MappingProxyType
from typing import Protocol

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.notify.channels.bell import Bell
from monitor.notify.channels.desktop import Desktop
from monitor.notify.channels.osascript import Osascript
from monitor.notify.channels.terminal import Terminal, Write
from monitor.notify.channels.terminal_notifier import TerminalNotifier
from monitor.notify.text import Words, message_of


class AnyChannel(Protocol):
    """What every channel is, as the notifier wants it."""

    @property
    def name(self) -> str: ...
    async def tell(self, alerts: Sequence[Alert], urgency: Urgency) -> None: ...
    def close(self) -> None: ...


Make = Callable[[Words], AnyChannel]


def channels_for(
    names: Sequence[str],
    *,
    platform: str,
    write: Write | None,
    environ: Mapping[str, str],
    zone: tzinfo | None = None,
    more: Mapping[str, Make] = MappingProxyType({}),
) -> tuple[AnyChannel, ...]:
    """The channels in order of preference. `platform` is as in `sys.platform`; a `zone` of None is the machine's.

    `desktop` stands for the platform's whole chain, and where there is a terminal to `write` to, it and its bell
    are the last resorts after that. `more` makes the channels that have settings of their own, by their names.
    Raises SettingsError where one of these cannot be used as it is set.
    """
    make: dict[str, Make] = {
        "desktop": lambda words: Desktop(words, markup=platform not in ("darwin", "win32")),
        "terminal-notifier": TerminalNotifier,
        "osascript": Osascript,
        "terminal": lambda words: Terminal(words, write, environ),
        "bell": lambda _: Bell(write),
        **more,
    }
    words = partial(message_of, zone=zone)
    return tuple(make[name](words) for name in _chain(names, platform, write is not None))


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
