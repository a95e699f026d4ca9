"""The dashboard *Runbooks*: grafana/RUNBOOKS.md, one panel per alert, so that links to it work in every Grafana."""

import re
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.text import Panel as Text
from grafana_foundation_sdk.models.text import TextMode

from tools.dashboards import panels
from tools.dashboards.panels import place

UID: Final = "claude-tracker-runbooks"
FILE: Final = Path(__file__).parents[2] / "grafana/RUNBOOKS.md"
ACROSS: Final = 3
HEIGHT: Final = 8


def runbooks() -> build.Dashboard:
    width = 24 // ACROSS
    placed = []
    for index, (alert, text) in enumerate(sections()):
        row, column = divmod(index, ACROSS)
        panel = Text().mode(TextMode.MARKDOWN).content(text)
        about = f"What to do about the alert {alert}."
        placed.append(place(panel, column * width, row * HEIGHT, width, HEIGHT, alert, about))
    description = "What to do about each alert."
    time = ("now-6h", "now")
    return panels.dashboard("Claude Tracker / Runbooks", UID, description, time, [], placed)


def sections() -> list[tuple[str, str]]:
    """Each alert with its text; links to other files are left out, as they lead nowhere from Grafana."""
    _, *parts = re.split(r"^## ", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    split = [part.split("\n", 1) for part in parts]
    return [(alert, re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).strip()) for alert, text in split]
