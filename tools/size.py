"""`make size`: how large the program is, room by room, and through how much of it one datum passes.

The figures stand beside those of codebases that read well. They are a mirror and gate nothing: one moves for a reason
that a commit tells. The last line is JSON.

A hop count is measured, not read off: a profile function sees each call of our own functions, in all threads, while
one poll, one press of `r` in a follower, or one reading of the settings runs against real parts on loopback.
"""

import ast
import asyncio
import fcntl
import io
import json
import os
import pty
import sys
import tempfile
import threading
import tokenize
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from monitor.app.leader import Leader
from monitor.app.leadership import Election
from monitor.core.errors import TrackerError
from monitor.core.state import State
from monitor.settings import load
from monitor.system.aio import Observable
from monitor.system.clock import SystemClock
from monitor.terminal.frame import Footer
from monitor.terminal.program import Program
from monitor.terminal.tty import Tty
from tests.app.factories import UserHome, rig, until

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("monitor", "exporters")
LIGHT: Final = 60
"""A file of fewer lines is a cupboard rather than a room."""

MODELS: Final = """\
model           files   lines  statements  functions  comments/100  private called once
h11                11    2568           -         95          27.0                  33%
stamina            10    1512           -         74           4.6                  22%
httpx              23    8827           -        446           5.1                  44%
mopidy             82    9400        4741          -           3.4                    -
kopf               85   17500        6500          -           5.6                    -"""
"""Measured once on public releases of these projects."""


@dataclass
class Room:
    """One package, or the files that stand directly in it. `private` are the names of private functions."""

    files: int = 0
    lines: int = 0
    statements: int = 0
    functions: int = 0
    comments: int = 0
    light: int = 0
    private: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        tree = ast.parse(text)
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        names = [
            n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        self.files += 1
        self.lines += text.count("\n")
        self.statements += sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
        self.functions += len(names)
        self.comments += sum(token.type == tokenize.COMMENT for token in tokens)
        self.light += text.count("\n") < LIGHT
        self.private += [
            name for name in names if name.startswith("_") and not name.startswith("__")
        ]

    def __iadd__(self, other: "Room") -> "Room":
        self.files += other.files
        self.lines += other.lines
        self.statements += other.statements
        self.functions += other.functions
        self.comments += other.comments
        self.light += other.light
        self.private += other.private
        return self


def rooms() -> tuple[dict[str, Room], Counter[str]]:
    """Count each room; and how often each name is used in all of them."""
    found: dict[str, Room] = {}
    uses: Counter[str] = Counter()
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        text, parts = file.read_text(encoding="utf-8"), file.relative_to(ROOT).parts[:-1]
        found.setdefault("/".join(parts[:2]), Room()).add(text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Name):
                uses[node.id] += 1
            elif isinstance(node, ast.Attribute):
                uses[node.attr] += 1
    return found, uses


@dataclass
class Hops:
    """What the calls of our own functions passed through."""

    functions: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    changes: int = 0
    last: str = ""
    only: bool = False

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """Be the profile function."""
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if event != "call" or name in COMPREHENSIONS or not file.startswith(OURS):
            return
        if not self.only or _FOLLOWED.get():
            self.functions.add(f"{file}:{frame.f_code.co_qualname}")
            self.files.add(file)
            self.changes += file != self.last
            self.last = file

    def document(self) -> dict[str, int]:
        return {
            "functions": len(self.functions),
            "files": len(self.files),
            "changes_of_file": self.changes,
        }


COMPREHENSIONS: Final = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
"""What stands in a function, and has a frame of its own: in Python 3.11 all of them, in later versions the last."""

OURS: Final = tuple(f"{ROOT / package}{os.sep}" for package in PACKAGES)


_FOLLOWED: Final[ContextVar[bool]] = ContextVar("followed", default=False)


@contextmanager
def followed(*, only: bool = False) -> Iterator[Hops]:
    """Count for the time of the block: in all tasks and new threads, or `only` what this task calls and starts."""
    hops = Hops(only=only)
    token = _FOLLOWED.set(True)
    threading.setprofile(hops.note)
    sys.setprofile(hops.note)
    try:
        yield hops
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        _FOLLOWED.reset(token)


async def measure() -> dict[str, Hops]:
    """Measure each datum once on a monitor of two accounts."""
    with tempfile.TemporaryDirectory(prefix="size-") as folder:
        async with rig(Path(folder)) as user:
            with followed() as settings:
                load(user.config)
            async with user.leader() as leader:
                await user.polled()
                with followed(only=True) as poll:
                    await user.poll_now(leader)
                key = await _key(user)
    return {"poll": poll, "key": key, "settings": settings}


async def _key(user: UserHome) -> Hops:
    """Press `r` in a table that follows, until its answer is on the screen; both processes' parts run in this one."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    view, lock = Observable(State()), str(user.home / "run" / "lock-of-another")
    holder = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(holder, fcntl.LOCK_EX)

    async def never(_: str) -> Leader:
        raise TrackerError("another process leads")

    election = Election(lock, user.socket, never)
    tty = await Tty.open(os.ttyname(slave))
    program = Program(view, SystemClock(), election.execute, tty, Footer)
    task = asyncio.ensure_future(program.run())
    following = asyncio.ensure_future(election.lead_or_follow(task, view))
    shown = b""

    def has(words: bytes) -> bool:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(master, 1 << 16)
        return words in shown

    await until(lambda: has(b"Live"))
    with followed() as hops:
        os.write(master, b"r")
        await until(lambda: has(b"refreshed") or has(b"wait"))
    os.write(master, b"q")
    await following
    for descriptor in (master, slave, holder):
        os.close(descriptor)
    return hops


def main() -> int:
    found, uses = rooms()
    whole = Room()
    print(
        f"{'room':22} {'files':>6} {'lines':>7} {'statements':>11} {'functions':>10} {'private called once':>20}"
    )
    for name, room in sorted(found.items(), key=lambda item: -item[1].lines):
        print(f"{name:22} {_figures(room)} {_once(room, uses):>20}")
        whole += room
    comments = f"{100 * whole.comments / whole.lines:.1f}"
    print(f"\n{MODELS}\n{'this tree':14} {_figures(whole)}"
          f" {comments:>13} {_once(whole, uses):>20}")  # fmt: skip
    hops = {name: one.document() for name, one in asyncio.run(measure()).items()}
    print(f"\n{'hops of one':14} {'functions':>10} {'files':>6} {'changes of file':>16}")
    for name, one in hops.items():
        print(f"{name:14} {one['functions']:10} {one['files']:6} {one['changes_of_file']:16}")
    document = {
        "files": whole.files,
        "lines": whole.lines,
        "statements": whole.statements,
        "functions": whole.functions,
        "files_under_60_lines": whole.light,
        "rooms": {name: room.lines for name, room in found.items()},
        "hops": hops,
    }
    print(json.dumps(document))
    return 0


def _figures(room: Room) -> str:
    return f"{room.files:6} {room.lines:7} {room.statements:11} {room.functions:10}"


def _once(room: Room, uses: Counter[str]) -> str:
    once = sum(uses[name] <= 1 for name in room.private)
    return f"{100 * once / max(len(room.private), 1):.0f}%"


if __name__ == "__main__":
    sys.exit(main())
