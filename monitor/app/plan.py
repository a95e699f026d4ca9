"""What a run is to do: by the command line, and by the settings. Serves and polls nothing itself."""

from dataclasses import dataclass, field
from pathlib import Path

from monitor.app.telling import Telling, telling_for
from monitor.channels.terminal import Write
from monitor.clock import Clock, SystemClock
from monitor.settings import ExporterSettings, Settings, load


@dataclass(frozen=True, slots=True)
class Terms:
    """What the command line says of a run. `write` reaches the terminal that it has, if it has one."""

    config: Path
    listen: ExporterSettings | None = None
    notify: bool = True
    write: Write | None = None
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings, and what follows from them: all of it valid, or none of it."""

    settings: Settings
    telling: Telling
    address: ExporterSettings

    @staticmethod
    def of(terms: Terms) -> "Plan":
        """Raises SettingsError."""
        settings = load(terms.config)
        telling = Telling()
        if terms.notify:
            telling = telling_for(settings, terms.write, terms.clock)
        return Plan(settings, telling, terms.listen or settings.exporter)
