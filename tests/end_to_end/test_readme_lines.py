"""Every command line that README shows runs as it stands there, on a machine with a login and a simulated API."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.crowd import Crowd, crowd

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
LINES = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
MADE = [line for line in LINES if line.startswith("make ")]
PRINTS = {
    "monitor accounts import": "user-0@example.com",
    "monitor tui": "user-0@example.com",
    "monitor doctor": "Claude",
    "monitor next": "user-",
    "CLAUDE_CONFIG_DIR=$(monitor next": "claude in ",
    "CLAUDE_CONFIG_DIR=~/.claude-work": "claude in ",
    "monitor run": "claude in ",
    "monitor guard": "",
    "monitor status": "%",
}
"""The beginning of each line, and a part of what it prints."""


def test_each_line_prints_what_it_is_shown_for(tmp_path: Path) -> None:
    with crowd(tmp_path) as many:
        programs = install_programs(tmp_path / "bin")
        many.serve()
        many.wait_for_leader()
        for line in LINES:
            if line not in MADE:
                printed = ran(many, programs, line)
                expected = next(part for start, part in PRINTS.items() if line.startswith(start))
                assert expected in printed, line


def install_programs(folder: Path) -> Path:
    """The two programs that the lines call: ours, and a `claude` that says where it was started."""
    folder.mkdir()
    for name, command in {
        "monitor": f'exec {shlex.quote(sys.executable)} -m monitor "$@"',
        "claude": 'echo "claude in $CLAUDE_CONFIG_DIR"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (folder / name).chmod(0o755)
    return folder


def ran(many: Crowd, programs: Path, line: str) -> str:
    env = {**many.env, "PATH": f"{programs}:{many.env['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", line], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if line.startswith("monitor guard --need"):
        assert done.returncode == 5, (
            done.stderr
        )  # of a task nothing is known before two days of history
    elif not line.startswith("monitor doctor"):  # which fails where this machine lacks something
        assert done.returncode == 0, (line, done.stderr)
    return done.stdout


@pytest.mark.parametrize("line", MADE)
def test_the_make_targets_exist(line: str) -> None:
    words = shlex.split(line, comments=True)
    done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
