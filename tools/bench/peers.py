"""Tools that people use instead: installed into a folder of their own, and run with a day of invented use."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.real.pty import terminal_env
from tools.bench.measure import Command

CACHE: Final = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "claude-tracker-bench"
)
MONITOR: Final = "claude-monitor==4.0.0"
CCUSAGE: Final = "ccusage@17.2.1"


def install() -> dict[str, Path]:
    """The programs by their names; one that cannot be had now is left out, and said so."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = {}
    python = CACHE / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MONITOR]
    npm = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(CACHE), CCUSAGE]
    wanted = {
        "claude-monitor": (
            CACHE / "bin" / "claude-monitor",
            [[sys.executable, "-m", "venv", str(CACHE)], pip],
        ),
        "ccusage": (CACHE / "node_modules" / ".bin" / "ccusage", [npm]),
    }
    for name, (program, steps) in wanted.items():
        try:
            for step in [] if program.exists() else steps:
                subprocess.run(step, check=True, capture_output=True, timeout=300)
            found[name] = program
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{name} is not measured: {error}", file=sys.stderr)
    return found


def commands(programs: dict[str, Path]) -> dict[str, Command]:
    """What is measured beside `monitor --version`."""
    return {name: Command([str(program), "--version"]) for name, program in programs.items()}


def screen_of_monitor(program: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of claude-monitor's live view, with a session in its past hour."""
    file = home / ".claude" / "projects" / "bench" / "session.jsonl"
    file.parent.mkdir(parents=True)
    began = datetime.now(UTC) - timedelta(minutes=80)
    with file.open("w") as out:
        for number in range(200):
            message = {
                "id": f"m{number}",
                "role": "assistant",
                "model": "claude-opus-4-5-20251101",
                "usage": {"input_tokens": 500, "output_tokens": 300},
            }
            entry = {
                "type": "assistant",
                "timestamp": (began + timedelta(seconds=20 * number)).isoformat(),
                "sessionId": "s",
                "uuid": f"u{number}",
                "requestId": f"r{number}",
                "message": message,
            }
            print(json.dumps(entry), file=out)
    argv = [str(program), "--plan", "max20", "--timezone", "UTC", "--no-api"]
    return argv, {**terminal_env(), "HOME": str(home), "LC_ALL": "C.UTF-8"}
