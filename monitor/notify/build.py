"""The channels that the settings name, made for this platform, with secrets from the keyring."""

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from monitor.core.alerts.text import Message
from monitor.core.effects import Alert
from monitor.core.errors import ChannelError, ChannelReason, CredentialError, SecretRefusedError
from monitor.core.model import Secret
from monitor.credentials.keyring import LIMIT_SECS as KEYRING_SECS
from monitor.credentials.keyring import Keyring
from monitor.notify.channel import Channel, ChannelSet, never_quiet
from monitor.notify.channels.alertmanager import Alertmanager
from monitor.notify.channels.apprise import LIMIT_SECS as APPRISE_SECS
from monitor.notify.channels.apprise import Apprise
from monitor.notify.channels.command import Command
from monitor.notify.channels.desktop import Desktop, Osascript, TerminalNotifier
from monitor.notify.channels.terminal import Bell, Show, Terminal
from monitor.notify.channels.webhook import Webhook
from monitor.settings import Settings, WebhookSettings, rule_book
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
    """The user's own channels; `show` reaches the terminal that we run on."""
    notifications = settings.notifications
    if not notifications.enabled:
        return ChannelSet()
    make: dict[str, Callable[[], Channel]] = {
        "desktop": lambda: Desktop(markup=platform != "darwin"),
        "terminal-notifier": TerminalNotifier,
        "osascript": Osascript,
        "terminal": lambda: Terminal(show, os.environ),
        "bell": lambda: Bell(show),
        **_remote_channels(settings, keyring or Keyring(), clock),
    }
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


def build_demo_channel_set(show: Show | None) -> ChannelSet:
    """The demo's channels touch no D-Bus: they are those of the terminal alone."""
    if show is None:
        return ChannelSet()
    return ChannelSet({"terminal": [Terminal(show, os.environ)], "bell": [Bell(show)]})


def _remote_channels(
    settings: Settings, keyring: Keyring, clock: Clock
) -> dict[str, Callable[[], Channel]]:
    """The channels that have a table of their own, by their names."""
    make: dict[str, Callable[[], Channel]] = {}
    channels, rules = settings.channels, rule_book(settings)
    if (command := channels.command) is not None:
        make["command"] = lambda: Command(command.argv, command.timeout_secs)
    if (webhook := channels.webhook) is not None:
        make["webhook"] = lambda: _webhook(webhook, keyring)
    if (manager := channels.alertmanager) is not None:
        make["alertmanager"] = lambda: Alertmanager(
            manager.url, clock.now, lambda alert: rules.rule(alert.kind).urgency
        )
    if (services := channels.apprise) is not None:
        make["apprise"] = lambda: DeferredChannel(
            "apprise", services.urls, keyring.text, Apprise, APPRISE_SECS
        )
    return make


def _webhook(settings: WebhookSettings, keyring: Keyring) -> Channel:
    def make(token: Secret | None) -> Webhook:
        return Webhook(settings.url, settings.form, token, settings.timeout_secs)

    async def read(entry: str) -> Secret | None:
        kept = await keyring.read(entry)
        return None if kept is None else kept.secret

    if settings.token is None:
        return make(None)
    return DeferredChannel("webhook", settings.token, read, make, settings.timeout_secs)


class DeferredChannel(Channel):
    """Stands for the channel that `make` makes of a secret in the keyring, which may be unlocked later.

    `read` returns None where the keyring has no such entry, and raises CredentialError. A secret that the receiver
    refuses is read again for the next alert. `limit` is that of the channel alone.
    """

    def __init__(
        self,
        name: str,
        entry: str,
        read: Callable[[str], Awaitable[Secret | None]],
        make: Callable[[Secret], Channel],
        limit: float,
    ) -> None:
        self.name = name
        self.limit_secs = KEYRING_SECS + limit
        self._entry = entry
        self._read = read
        self._make = make
        self._channel: Channel | None = None

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        """Raises ChannelError, also where there is no such secret now."""
        if self._channel is None:
            try:
                secret = await self._read(self._entry)
            except CredentialError as error:
                raise ChannelError(ChannelReason.UNAVAILABLE, str(error)) from None
            if secret is None:
                missing = f"the keyring has no entry {self._entry!r}"
                raise ChannelError(ChannelReason.UNAVAILABLE, missing)
            self._channel = self._make(secret)
        try:
            await self._channel.send(message, alerts)
        except SecretRefusedError:
            self.close()
            self._channel = None
            raise

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
