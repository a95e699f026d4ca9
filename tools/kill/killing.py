"""Kills the program at random instants of its bursts, starts it again, and compares what was told with what was due."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.kill import script
from tools.kill.program import Progress

ROOT: Final = Path(__file__).parents[2]
MODES: Final = ("fall-back", "fan-out")
LONGEST_LIFE_SECS: Final = 0.15
LAST_STEPS: Final = 3
LAST_LIFE_SECS: Final = 60

_IN_FLIGHT: Final = """
    SELECT key, channel, attempts FROM alerts JOIN deliveries USING (settings, key)
    WHERE stage = 'sending' AND ended_at IS NULL
"""


Flight = tuple[str, str, int]
"""A try to tell an alert that a kill has cut short: identity, lane, and which try it was."""


@dataclass(slots=True)
class Judgement:
    """`double` are tellings too many of alerts that were not in flight at a kill, `in_flight_double` the others."""

    kills: int = 0
    kills_in_flight: int = 0
    alerts: int = 0
    lost: int = 0
    double: int = 0
    in_flight_double: int = 0
    never_due: int = 0
    in_flight: set[Flight] = field(default_factory=set)

    def figures(self) -> dict[str, int]:
        names = [name for name in self.__slots__ if name != "in_flight"]
        return {name: getattr(self, name) for name in names}


def judged(folder: Path, mode: str, kills: int, seed: int) -> Judgement:
    """The program in this mode, killed so many times, then run to its end."""
    chance = random.Random(f"{seed} {mode}")
    judgement = Judgement(kills)
    for life in range(kills):
        _kill_one(folder, mode, f"{seed} {life}", chance)
        flying = _in_flight(folder) - judgement.in_flight
        judgement.in_flight |= flying
        judgement.kills_in_flight += bool(flying)
    steps = Progress(folder).load() + LAST_STEPS
    _finish(folder, mode, str(seed), str(steps))
    _judge(judgement, folder, mode, steps)
    return judgement


def _kill_one(folder: Path, mode: str, seed: str, chance: random.Random) -> None:
    """Most lives end once the program is at work, some while it starts."""
    with _started(folder, mode, seed) as process:
        assert process.stdout is not None
        if chance.random() < 0.9:
            assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, LONGEST_LIFE_SECS))
        process.kill()


def _finish(folder: Path, *arguments: str) -> None:
    """A last life, to the end of these steps and of all deliveries. Raises TimeoutExpired."""
    with _started(folder, *arguments) as process:
        try:
            process.communicate(timeout=LAST_LIFE_SECS)
        finally:
            process.kill()


def _started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Without `site`: the program needs nothing that is installed, and starts sooner."""
    command = [sys.executable, "-S", "-m", "tools.kill.program", str(folder), *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE)


def _in_flight(folder: Path) -> set[Flight]:
    """What was being told when the program died, by identity and lane."""
    if not (folder / "state.db").exists():
        return set()
    with closing(sqlite3.connect(folder / "state.db")) as database:
        try:
            rows = database.execute(_IN_FLIGHT).fetchall()
        except sqlite3.OperationalError:  # it died before it had made the tables
            return set()
    return {(key.replace("\x1f", "|"), lane, attempt) for key, lane, attempt in rows}


def _judge(judgement: Judgement, folder: Path, mode: str, steps: int) -> None:
    due = script.identities(steps)
    judgement.alerts = len(due)
    cut_short = Counter((identity, lane) for identity, lane, _ in judgement.in_flight)
    for lane, told in _told(folder, mode).items():
        judgement.lost += len(due - told.keys())
        judgement.never_due += len(told.keys() - due)
        for identity, times in told.items():
            excused = min(times - 1, cut_short[identity, lane])
            judgement.in_flight_double += excused
            judgement.double += times - 1 - excused


def _told(folder: Path, mode: str) -> dict[str, Counter[str]]:
    """How often each alert was told, by lane: with a fall-back, both channels are one lane."""
    by_channel = {
        path.name.removeprefix("told-by-"): Counter(path.read_text().splitlines())
        for path in folder.glob("told-by-*")
    }
    return by_channel if mode == "fan-out" else {"*": sum(by_channel.values(), Counter())}
