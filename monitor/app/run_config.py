"""What a run is to do: by the command line, and by the settings. Serves and polls nothing itself."""

from dataclasses import dataclass, field
from pathlib import Path

from monitor.notify.build import build_channel_set
from monitor.notify.channel import ChannelSet
from monitor.notify.channels.terminal import Write
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
    telling: ChannelSet
    address: ExporterSettings

    @staticmethod
    def of(terms: CliOptions) -> "RunConfig":
        """Raises SettingsError."""
        settings = load(terms.config)
        telling = ChannelSet()
        if terms.notify:
            telling = build_channel_set(settings, terms.write, terms.clock)
        return RunConfig(settings, telling, terms.listen or settings.exporter)
