"""`make record`: the two pictures of README that show the running program.

`docs/demo.svg` is a film of `monitor tui --demo`, second by second; `docs/notification.png` is one of its alerts in
dunst. Needs dunst, Xvfb and ImageMagick.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.real.bus import wait_until
from tests.real.desktop import desktop
from tests.real.pty import Terminal, terminal_env
from tools.pictures.terminal import DARK, Shot, draw_film, shot

DOCS: Final = Path(__file__).parents[1] / "docs"
SECONDS: Final = 56
"""So long the story is, up to the change of the account to use."""

WIDTH: Final = 112
HEIGHT: Final = 30

_ALERT: Final = """
import asyncio
from datetime import UTC, datetime, timedelta
from monitor.core.alerts.text import format_alert
from monitor.core.alerts.rules import Alert, AlertKind
from monitor.notify.channels.desktop import Desktop

now = datetime.now(UTC)
alert = Alert(
    AlertKind.THRESHOLD, "user@work.com", "5h", now, 0.8, 0.8, now + timedelta(hours=1, minutes=12)
)
channel = Desktop(markup=True)
asyncio.run(channel.send(format_alert(alert), [alert]))
"""
_LOOK: Final = """[global]
width = (320, 520)
origin = top-left
offset = 0x0
font = DejaVu Sans 11
frame_width = 1
padding = 14
horizontal_padding = 16
corner_radius = 0
frame_color = "#3b3f4a"
[urgency_normal]
background = "#1d2027"
foreground = "#d7dae0"
timeout = 60
"""


def record(seconds: int) -> list[tuple[float, Shot]]:
    """The demo's screens with the seconds at which they appeared."""
    argv = [sys.executable, "-m", "monitor", "tui", "--demo", "--listen", "off"]
    table = Terminal(argv, terminal_env(COLORTERM="truecolor"), WIDTH, HEIGHT)
    shots: list[tuple[float, Shot]] = []
    try:
        table.wait_for("Live")
        began = time.monotonic()
        for second in range(seconds):
            while (left := began + second - time.monotonic()) > 0:
                table.read(left)
            taken = shot(table.display, DARK)
            if not shots or taken != shots[-1][1]:
                shots.append((second, taken))
    finally:
        table.close()
    return shots


def notification(target: Path) -> None:
    """Show an alert in dunst, and cut its window out of the screen."""
    with tempfile.TemporaryDirectory() as folder, desktop(Path(folder), _LOOK) as shown:
        env = {**shown.env, "PYTHONPATH": str(DOCS.parent)}
        subprocess.run([sys.executable, "-c", _ALERT], env=env, check=True)
        wait_until(lambda: _cut(target, env) > 1000, "the notification on the screen")


def _cut(target: Path, env: dict[str, str]) -> int:
    """Save what is on the screen without its black margin; returns its area in pixels."""
    argv = ["import", "-window", "root", "-trim", "+repage", str(target)]
    subprocess.run(argv, env=env, check=True, capture_output=True)
    sized = ["identify", "-format", "%[fx:w*h]", str(target)]
    return int(float(subprocess.run(sized, capture_output=True, text=True, check=True).stdout))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make record", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    options = parser.parse_args()
    picture, film = DOCS / "notification.png", DOCS / "demo.svg"
    notification(picture)
    shots = record(options.seconds)
    film.write_text(draw_film(shots, options.seconds, WIDTH, DARK), encoding="utf-8")
    sizes = {file.name: file.stat().st_size for file in (film, picture)}
    print(json.dumps({"frames": len(shots), "bytes": sizes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
