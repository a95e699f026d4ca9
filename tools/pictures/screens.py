"""The table's screens: real captures of the running program on a pty, drawn as SVG and as PNG."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.real.pty import Terminal, terminal, terminal_env
from tools.pictures.drawing import Picture
from tools.pictures.terminal import (
    CELL_WIDTH,
    DARK,
    LIGHT,
    LINE_HEIGHT,
    MARGIN,
    Theme,
    draw_screen,
    shot,
)

SIZES: Final = ((120, 40), (80, 24), (60, 12), (200, 50))
STATES: Final = ("five", "twenty")
PANES: Final = {"detail": " ", "help": "?"}
DEMO_SECONDS: Final = (10, 25, 40, 60)
THEMES: Final = {"dark": DARK, "light": LIGHT}
RUNNER: Final = [sys.executable, "-m", "tests.terminal.runner"]
DEMO: Final = [sys.executable, "-m", "monitor", "tui", "--demo", "--listen", "off"]


def draw_screens(output: Path, themes: list[str]) -> Iterator[Picture]:
    """The table at each size, its panes, and the demo as it goes on."""
    output.mkdir(parents=True, exist_ok=True)
    for name in themes:
        for state in STATES:
            for width, height in SIZES:
                target = output / f"table-{state}-{width}x{height}-{name}"
                yield _capture([*RUNNER, state, "--theme", name], (width, height), "", name, target)
        for pane, key in PANES.items():
            argv = [*RUNNER, "mixed", "--theme", name]
            yield _capture(argv, (100, 22), key, name, output / f"table-{pane}-{name}")
    yield from _demo(output)


def _capture(argv: list[str], size: tuple[int, int], key: str, theme: str, target: Path) -> Picture:
    with terminal(argv, terminal_env(), *size) as shown:
        shown.wait_for("quit")
        before = shown.screen
        if key:
            shown.keys(key)
            shown.wait_until(lambda: shown.screen != before, f"what {key!r} opens")
        return _draw(shown, THEMES[theme], target)


def _demo(output: Path) -> Iterator[Picture]:
    with terminal(DEMO, terminal_env(), 120, 40) as shown:
        shown.wait_for("Live")
        began = time.monotonic()
        for seconds in DEMO_SECONDS:
            while time.monotonic() < began + seconds:
                shown.read(0.2)
            yield _draw(shown, DARK, output / f"demo-{seconds:02}s-dark")
        shown.keys("l")
        shown.wait_for("─ alerts ─")
        yield _draw(shown, DARK, output / "demo-log-dark")


def _draw(shown: Terminal, theme: Theme, target: Path) -> Picture:
    """Both files; a problem is a screen without figures, or one that PNG could not be made of."""
    display = shown.display
    svg = target.with_suffix(".svg").absolute()
    svg.write_text(draw_screen(shot(display, theme), display.columns, theme), encoding="utf-8")
    png = svg.with_suffix(".png")
    size = (
        round(display.columns * CELL_WIDTH) + 2 * MARGIN,
        display.lines * LINE_HEIGHT + 2 * MARGIN,
    )
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-dev-shm-usage", f"--user-data-dir={profile}",
                f"--window-size={size[0]},{size[1]}", f"--screenshot={png}", svg.as_uri(),
            ],
            capture_output=True, timeout=120,
        )  # fmt: skip
    problems = [] if "Claude Tracker" in shown.screen else [{"panel": "", "problem": "no table"}]
    if done.returncode or not png.exists():
        problems.append({"panel": "", "problem": "chromium drew no PNG"})
    return Picture(str(png), 1, problems)
