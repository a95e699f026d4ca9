"""What a run is to do: by the command line, and by the settings. Serves and polls nothing itself."""

from dataclasses import dataclass
from pathlib import Path

from monitor.app.telling import Telling, telling_for
from monitor.channels.terminal import Write
from monitor.settings import ExporterSettings, Settings, load


@dataclass(frozen=True, slots=True)
class Terms:
    """What the command line says of a run. `write` reaches the terminal that it has, if it has one."""

    config: Path
    listen: ExporterSettings | None = None
    notify: bool = True
    write: Write | None = None


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
        telling = telling_for(settings, terms.write) if terms.notify else Telling()
        return Plan(settings, telling, terms.listen or settings.exporter)
