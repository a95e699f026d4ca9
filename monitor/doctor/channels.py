"""Checks the channels that send alerts, and the terminal that they and the table are shown in. Sends nothing."""

import importlib.util
import locale
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from monitor.core.alerts.text import Message
from monitor.core.errors import Cause, ChannelError, ChannelReason, CredentialError
from monitor.credentials.keyring import Keyring
from monitor.doctor.report import Check, Outcome, Question
from monitor.notify.channels.desktop import Desktop, Library
from monitor.notify.channels.terminal import render_notification
from monitor.settings import Settings

NOTIFICATIONS: Final = Question("notifications", "alerts reach you through them while you work")
CHANNEL: Final = Question("channel", "a failing channel loses alerts or falls back to the next one")

_MAC_PROGRAMS: Final = ("terminal-notifier", "osascript")


_OTHERWISE: Final = (
    'another channel, such as notifications.channels = ["webhook"] with [channels.webhook]'
)


@dataclass(frozen=True, slots=True)
class Channels:
    """Checks each channel that the settings name; `sender` makes desktop-notifier's object, unless None."""

    settings: Settings
    keyring: Keyring
    environ: Mapping[str, str]
    platform: str
    has_keyring: bool
    sender: Callable[[], Library] | None = None

    async def checks(self) -> list[Check]:
        """Return one check for all channels together, and one for each; takes some seconds where a daemon is silent."""
        notifications = self.settings.notifications
        if not notifications.enabled:
            return [NOTIFICATIONS.skip("notifications.enabled = false: no alerts are sent")]
        if not notifications.channels:
            fix = 'notifications.channels = ["desktop"]'
            return [NOTIFICATIONS.warn("no channel is set: no alerts are sent", fix)]
        each = {name: await self._channel(name) for name in notifications.channels}
        ready = [name for name, check in each.items() if check.outcome is Outcome.OK]
        if not ready:
            whole = NOTIFICATIONS.warn(
                "only an open `monitor tui` shows alerts: a line at its top, and a bell",
                "see each channel below",
            )
        else:
            names = " and ".join(ready) if notifications.fan_out else f"{ready[0]} first"
            whole = NOTIFICATIONS.ok(f"alerts are sent by {names}; `monitor notify-test` shows one")
        return [whole, *each.values()]

    async def _channel(self, name: str) -> Check:
        """Say what the channel uses, or what it lacks and how to get that."""
        match name:
            case "desktop":
                return await self._desktop()
            case "command":
                return self._command()
            case "webhook" | "apprise":
                return await self._with_entry(name)
            case "alertmanager":
                return CHANNEL.ok("alertmanager: its URL is set")
            case "terminal" if render_notification(Message("", ""), self.environ) is None:
                lacks = "this terminal is not known to show notifications"
                return CHANNEL.warn(f"terminal: {lacks}", '"bell" rings in any terminal')
            case "terminal" | "bell":
                shown = f"a line at the top of an open `monitor tui`, with its {name}"
                return CHANNEL.ok(f"{name}: {shown}")
        raise AssertionError(f"no check of the channel {name}")

    async def _desktop(self) -> Check:
        desktop = Desktop(markup=False, make=self.sender)
        try:
            await desktop.check()
        except ChannelError as error:
            found = [program for program in _MAC_PROGRAMS if self._which(program)]
            if self.platform == "darwin" and found:
                return CHANNEL.ok(f"desktop: this Python may not notify, so {found[0]} does")
            if error.reason is ChannelReason.TIMEOUT:
                lacks = "the notification service does not answer"
                fix = "restart it, or log out and in again"
            elif error.reason is ChannelReason.NO_CAPABILITY:
                lacks = "this Python's notifications vanish without a word"
                is_mac = self.platform == "darwin"
                fix = "`brew install terminal-notifier`" if is_mac else _OTHERWISE
            elif self.platform == "linux" and not self.environ.get("DBUS_SESSION_BUS_ADDRESS"):
                lacks, fix = "no D-Bus session: desktop notifications unavailable", _OTHERWISE
            else:
                lacks = "no notification service answers"
                fix = f"start one, such as `dunst`; or {_OTHERWISE}"
            return CHANNEL.warn(f"desktop: {lacks}", fix)
        finally:
            desktop.close()
        return CHANNEL.ok("desktop: the desktop's own notification service answers")

    def _command(self) -> Check:
        table = self.settings.channels.command
        program = table.argv[0] if table else ""
        name = PurePath(program).name
        if self._which(program):
            return CHANNEL.ok(f"command: {name} is there")
        fix = "install it, or name its whole path in channels.command.argv"
        return CHANNEL.warn(f"command: {name} is not on the PATH, or no program", fix)

    def _which(self, program: str) -> str | None:
        return shutil.which(program, path=self.environ.get("PATH", ""))

    async def _with_entry(self, name: str) -> Check:
        """Look whether the keyring has the channel's entry; neither the entry nor its name is shown."""
        if name == "apprise" and importlib.util.find_spec("apprise") is None:
            return CHANNEL.warn("apprise: the library is not installed", "`pip install apprise`")
        entries = self.settings.channels.entries
        entry = next((e for key, e in entries.items() if key.startswith(f"{name}.")), None)
        if entry is None:
            return CHANNEL.ok(f"{name}: its URL is set, and it needs no token")
        if not self.has_keyring:
            lacks = "its keyring entry cannot be read"
            return CHANNEL.warn(f"{name}: {lacks}", "see the keyring above")
        try:
            is_there = await self.keyring.read(entry) is not None
        except CredentialError as error:
            # Apprise's URLs are several lines, and no token: this error says that the entry is there.
            is_there = error.cause is Cause.DAMAGED
        if is_there:
            return CHANNEL.ok(f"{name}: its keyring entry is there")
        fix = "`keyring set claude-tracker NAME`, with the name that the settings give"
        return CHANNEL.warn(f"{name}: its keyring entry is missing", fix)


TERMINAL: Final = Question("terminal", "the table is drawn there")
LOCALE: Final = Question("locale", "bars, marks and names are UTF-8, and others would look broken")

LEAST: Final = (40, 8)
"""Columns and lines; in fewer the table leaves much out."""


@dataclass(frozen=True, slots=True)
class ScreenFacts:
    """`size` is columns and lines, None where standard output is not a terminal."""

    size: tuple[int, int] | None
    encoding: str


def screen_facts() -> ScreenFacts:
    """Look at the terminal of this process."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno()) if sys.stdout.isatty() else None
    except (OSError, ValueError):
        size = None
    return ScreenFacts(size and (size.columns, size.lines), locale.getencoding())


def screen_checks(facts: ScreenFacts, environ: Mapping[str, str]) -> list[Check]:
    encoding = LOCALE.ok("UTF-8")
    if facts.encoding.lower().replace("-", "").replace("_", "") != "utf8":
        words = f"{facts.encoding}, not UTF-8"
        encoding = LOCALE.warn(words, "`export LC_ALL=C.UTF-8`, or any UTF-8 locale")
    term = environ.get("TERM", "")
    if facts.size is None:
        return [TERMINAL.skip("not a terminal"), encoding]
    if term in ("", "dumb"):
        found = f"$TERM is {term or 'empty'}: there is no table, only plain lines"
        fix = "`export TERM=xterm-256color`, if it is such a terminal"
        return [TERMINAL.warn(found, fix), encoding]
    colours = "256 colours" if "256" in term else "few colours"
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        colours = "all colours"
    if environ.get("NO_COLOR"):
        colours = "no colours ($NO_COLOR)"
    columns, lines = facts.size
    found = f"{columns} columns, {lines} lines, {colours}"
    if columns < LEAST[0] or lines < LEAST[1]:
        return [TERMINAL.warn(found, "make it larger: the table leaves much out"), encoding]
    return [TERMINAL.ok(found), encoding]
