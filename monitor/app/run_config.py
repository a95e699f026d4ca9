"""What a run is to do: by the command line, and by the settings. Serves and polls nothing itself."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from monitor.api.client import ApiHosts
from monitor.app.wiring import hosts_of, policy_of
from monitor.core.policy import Policy
from monitor.notify.build import build_channel_set
from monitor.notify.channel import ChannelSet
from monitor.notify.channels.terminal import Write
from monitor.paths import refuse_missing
from monitor.settings import ExporterSettings, Settings, load
from monitor.system.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class CliOptions:
    """What the command line says of a run. `write` reaches the terminal that it has, if it has one."""

    config: Path
    listen: ExporterSettings | None = None
    notify: bool = True
    write: Write | None = None
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The settings, and what follows from them: all of it valid, or none of it."""

    settings: Settings
    channels: ChannelSet
    address: ExporterSettings
    policy: Policy
    hosts: ApiHosts

    @staticmethod
    def of(options: CliOptions) -> "RunConfig":
        """Read the settings, blocking. Raises SettingsError."""
        settings = load(options.config)
        channels = ChannelSet()
        if options.notify:
            channels = build_channel_set(settings, options.write, options.clock)
        address = options.listen or settings.exporter
        return RunConfig(settings, channels, address, policy_of(settings), hosts_of(settings.api))

    @staticmethod
    def again(options: CliOptions) -> "RunConfig":
        """Read the settings of a run that goes on, blocking. Raises SettingsError, also where their file is gone."""
        refuse_missing(os.environ, str(options.config))
        return RunConfig.of(options)

    def sends_like(self, other: "RunConfig") -> bool:
        """Return whether alerts are sent by the same channels."""
        ours, others = self.settings, other.settings
        return (
            ours.notifications == others.notifications
            and ours.channels == others.channels
            and self.policy.alerts == other.policy.alerts
        )
