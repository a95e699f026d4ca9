"""One file per way to send an alert; here, those that the settings name are made, with secrets from the keyring."""

import os
import sys
from collections.abc import Callable
from typing import Final

from monitor.core.errors import ChannelError, ChannelReason, CredentialError
from monitor.core.model import Secret
from monitor.credentials.keyring import Keyring
from monitor.notify.channel import Channel, ChannelSet, ReadSecret, never_quiet
from monitor.notify.channels.alertmanager import Alertmanager
from monitor.notify.channels.apprise import Apprise
from monitor.notify.channels.command import CommandChannel
from monitor.notify.channels.desktop import Desktop, Osascript, TerminalNotifier
from monitor.notify.channels.terminal import Bell, Show, Terminal
from monitor.notify.channels.webhook import Webhook
from monitor.settings import Settings, rule_book
from monitor.system.clock import Clock

LAST_RESORTS: Final = ("terminal", "bell")
MAC_FALLBACKS: Final = ("terminal-notifier", "osascript")


def build_channel_set(
    settings: Settings,
    show: Show | None,
    clock: Clock,
    *,
    keyring: Keyring | None = None,
    platform: str = sys.platform,
) -> ChannelSet:
    """Make the channels of the settings; `show` writes to the terminal that the program runs on."""
    notifications, channels = settings.notifications, settings.channels
    if not notifications.enabled:
        return ChannelSet()
    keyring, rules = keyring or Keyring(), rule_book(settings)
    make: dict[str, Callable[[], Channel]] = {
        "desktop": lambda: Desktop(markup=platform != "darwin"),
        "terminal-notifier": TerminalNotifier,
        "osascript": Osascript,
        "terminal": lambda: Terminal(show, os.environ),
        "bell": lambda: Bell(show),
    }
    if (command := channels.command) is not None:
        make["command"] = lambda: CommandChannel(command.argv, command.timeout_secs)
    if (webhook := channels.webhook) is not None:
        token = _secret(keyring, webhook.token) if webhook.token else None
        make["webhook"] = lambda: Webhook(webhook.url, webhook.form, webhook.timeout_secs, token)
    if (manager := channels.alertmanager) is not None:
        make["alertmanager"] = lambda: Alertmanager(
            manager.url, clock.now, lambda alert: rules.rule(alert.kind).urgency
        )
    if (services := channels.apprise) is not None:
        make["apprise"] = lambda: Apprise(_secret(keyring, services.urls))
    resorts = LAST_RESORTS if show is not None and "desktop" in notifications.channels else ()
    fallbacks = MAC_FALLBACKS if platform == "darwin" else ()
    if notifications.fan_out:
        names, fallbacks = notifications.channels, (*fallbacks, *resorts)
    else:
        names = (*notifications.channels, *resorts)
    chains = {
        name: [make[each]() for each in (name, *(fallbacks if name == "desktop" else ()))]
        for name in names
    }
    quiet_hours = notifications.quiet_hours
    quiet_until = quiet_hours.until if quiet_hours else never_quiet
    return ChannelSet(chains, notifications.fan_out, quiet_until)


def build_demo_channel_set(show: Show) -> ChannelSet:
    """Make the demo's channels: those of the terminal only, which need no D-Bus."""
    return ChannelSet({"terminal": [Terminal(show, os.environ)], "bell": [Bell(show)]})


def _secret(keyring: Keyring, entry: str) -> ReadSecret:
    """Make a reader of the entry that reads it for each alert: the keyring may be unlocked, or the secret changed."""

    async def read() -> Secret:
        try:
            secret = await keyring.read_text(entry)
        except CredentialError as error:
            raise ChannelError(ChannelReason.UNAVAILABLE, str(error)) from None
        if secret is None:
            missing = f"the keyring has no entry {entry!r}"
            raise ChannelError(ChannelReason.UNAVAILABLE, missing)
        return secret

    return read
