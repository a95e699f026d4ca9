"""How alerts are told: the channels of the settings, spelled out for this platform, with secrets from the keyring."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from monitor.app.lazy_channel import LazyChannel
from monitor.core.alerts.rules import RuleBook
from monitor.core.model import Secret
from monitor.credentials.keyring import LIMIT_SECS as KEYRING_SECS
from monitor.credentials.keyring import Keyring
from monitor.notify import MARGIN_SECS, Channel
from monitor.notify.channels import apprise
from monitor.notify.channels.alertmanager import Alertmanager
from monitor.notify.channels.build import Make, channels_for
from monitor.notify.channels.command import Command
from monitor.notify.channels.terminal import Write
from monitor.notify.channels.webhook import Form, Webhook
from monitor.notify.text import Words
from monitor.settings import (
    AppriseSettings,
    ChannelSettings,
    NotificationSettings,
    Settings,
    WebhookSettings,
    rule_book,
)
from monitor.system.clock import Clock

LAST_RESORTS: Final = ("terminal", "bell")


@dataclass(frozen=True, slots=True)
class ChannelSet:
    """The channels by the names of the settings, and how they are used; without any, nothing is told."""

    chains: Mapping[str, Sequence[Channel]] = field(default_factory=dict)
    fan_out: bool = False
    quiet_until: Callable[[datetime], datetime | None] = lambda _: None
    limits: Mapping[str, float] = field(default_factory=dict)
    alertmanagers: tuple[Alertmanager, ...] = ()


def build_channel_set(
    settings: Settings, write: Write | None, clock: Clock, keyring: Keyring | None = None
) -> ChannelSet:
    """The user's own channels; `write` reaches the terminal that we run on. Raises SettingsError."""
    notifications = settings.notifications
    if not notifications.enabled:
        return ChannelSet()
    more = _more(settings.channels, rule_book(settings), keyring or Keyring(), clock)
    chains = {
        name: _chain(name, notifications, write, more) for name in _names(notifications, write)
    }
    return ChannelSet(
        chains,
        notifications.fan_out,
        quiet_until=notifications.quiet_hours.until if notifications.quiet_hours else _never_quiet,
        limits=_limits(settings.channels),
        alertmanagers=tuple(
            c for chain in chains.values() for c in chain if isinstance(c, Alertmanager)
        ),
    )


def build_demo_channel_set(write: Write | None) -> ChannelSet:
    """The demo's channels touch no D-Bus: they speak through the terminal alone."""
    names = LAST_RESORTS if write is not None else ()
    return ChannelSet({name: _made([name], write, {}) for name in names})


def _names(notifications: NotificationSettings, write: Write | None) -> list[str]:
    """The names of the settings; where one is enough, the terminal is the last resort of a desktop that fails."""
    resorts = (
        write is not None and "desktop" in notifications.channels and not notifications.fan_out
    )
    return list(dict.fromkeys((*notifications.channels, *(LAST_RESORTS if resorts else ()))))


def _chain(
    name: str, notifications: NotificationSettings, write: Write | None, more: Mapping[str, Make]
) -> Sequence[Channel]:
    alone = name == "desktop" and not notifications.fan_out
    return _made([name], None if alone else write, more)


def _made(names: Sequence[str], write: Write | None, more: Mapping[str, Make]) -> Sequence[Channel]:
    return channels_for(names, platform=sys.platform, write=write, environ=os.environ, more=more)


def _more(
    channels: ChannelSettings, rules: RuleBook, keyring: Keyring, clock: Clock
) -> dict[str, Make]:
    """How to make the channels that have a table of their own."""
    more: dict[str, Make] = {}
    if (command := channels.command) is not None:
        more["command"] = lambda words: Command(command.argv, words, limit=command.timeout_secs)
    if (webhook := channels.webhook) is not None:
        more["webhook"] = lambda words: _webhook(webhook, words, keyring)
    if (manager := channels.alertmanager) is not None:
        more["alertmanager"] = lambda words: Alertmanager(
            manager.url, words, clock.now, urgency_of=lambda alert: rules.rule(alert.kind).urgency
        )
    if (services := channels.apprise) is not None:
        more["apprise"] = lambda words: _apprise(services, words, keyring)
    return more


def _webhook(settings: WebhookSettings, words: Words, keyring: Keyring) -> Channel:
    def make(token: Secret | None) -> Webhook:
        form, limit = Form(settings.form), settings.timeout_secs
        return Webhook(settings.url, form, words, token=token, limit=limit)

    if settings.token is None:
        return make(None)
    return LazyChannel("webhook", settings.token, partial(_token, keyring), make)


async def _token(keyring: Keyring, entry: str) -> Secret | None:
    kept = await keyring.read(entry)
    return None if kept is None else kept.secret


def _apprise(settings: AppriseSettings, words: Words, keyring: Keyring) -> Channel:
    return LazyChannel(
        "apprise", settings.urls, keyring.text, lambda urls: apprise.Apprise(urls, words)
    )


def _limits(channels: ChannelSettings) -> Mapping[str, float]:
    """For the channels that may take longer than the usual: their own limit, that of the keyring, and a margin."""
    own: dict[str, float] = {"apprise": apprise.LIMIT_SECS + KEYRING_SECS}
    if (command := channels.command) is not None:
        own["command"] = command.timeout_secs
    if (webhook := channels.webhook) is not None:
        own["webhook"] = webhook.timeout_secs + (KEYRING_SECS if webhook.token else 0)
    return {name: limit + MARGIN_SECS for name, limit in own.items()}


def _never_quiet(_: datetime) -> None:
    return None
