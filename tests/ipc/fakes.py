"""Starts the leader of `child.py`, and ends it for good."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def leader(folder: Path, word: str = "ready") -> Iterator[subprocess.Popen[bytes]]:
    """The process, once it has said the word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ipc.child", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == word
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
