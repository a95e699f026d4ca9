"""One machine for some days: it runs the program, which polls when it likes, and notes what it saw and told.

Everything happens in the order of true time; the program is only ever shown the machine's own clock. On every third
machine answers pass through the API's own wire format: `usage_body` writes them, with the wobble of each end, and
`parse_usage` reads them. On the others, to save time, ends are rounded to the minute here, which comes to the same.
"""

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from monitor.api.wire import parse_usage
from monitor.core.errors import Reason
from monitor.core.model import Usage, Window
from monitor.demo.server import Limit, Limits, usage_body
from tools.simulate.faults import Refusal, Server
from tools.simulate.host import RIGHT, Happening, life
from tools.simulate.naive import Naive
from tools.simulate.record import (
    DAY,
    FIVE_HOURS,
    MINUTE,
    SEVEN_DAYS,
    Entry,
    Log,
    Seen,
    Told,
    instant,
    seconds,
)
from tools.simulate.subject import Subject
from tools.simulate.truth import Account
from tools.simulate.world import FABLE, account

THRESHOLDS = (
    (80.0, 95.0, 100.0),
    (80.0, 95.0, 100.0),
    (50.0, 75.0, 90.0, 100.0),
    (90.0,),
    (100.0,),
)
INTERVALS = (180.0, 300.0, 300.0, 300.0, 600.0, 600.0)
WIRED = 1 / 3
DOUBLED = 0.01
"""The share of answers that are delivered again, or behind which an older one comes once more."""


@dataclass(frozen=True, slots=True)
class Month:
    """What became of one machine's accounts."""

    thresholds: tuple[float, ...]
    accounts: list[Account]
    logs: list[Log]
    faults: Counter[str]


@dataclass(slots=True)
class _Watched:
    """One account as the machine keeps it."""

    truth: Account
    server: Server
    naive: Naive
    rounding: Naive
    log: Log = field(default_factory=Log)
    attempts: int = 0
    delivered: list[tuple[Usage, dict[str, Seen]]] = field(default_factory=list)


Program = Callable[[tuple[str, ...], tuple[float, ...], float], Subject]


def month(seed: str, accounts: int, days: int = 30, program: Program = Subject) -> Month:
    """A machine with so many accounts; the same for the same seed."""
    rng = Random(seed)
    machine = _Machine(rng, accounts, days, program)
    machine.run()
    watched = machine.watched.values()
    return Month(
        machine.thresholds, [w.truth for w in watched], [w.log for w in watched], machine.faults
    )


class _Machine:
    def __init__(self, rng: Random, accounts: int, days: int, program: Program) -> None:
        self.thresholds = rng.choice(THRESHOLDS)
        self.faults: Counter[str] = Counter()
        self.watched = {
            f"account-{n}": self._watch(account(rng, days), Random(rng.random()), days)
            for n in range(accounts)
        }
        self._rng = rng
        self._stop = days * DAY
        self._life = life(rng, days)
        self._skew = self._life.skew
        self._queue = [(h.t, n, h) for n, h in enumerate(self._life.happenings)]
        self._subject = program(tuple(self.watched), self.thresholds, rng.choice(INTERVALS))
        self._read = parsed if rng.random() < WIRED else rounded
        self._running = False
        self._awake = True
        self._asleep_at = 0.0
        self._soon(rng.uniform(0, 300), "start")

    def _watch(self, truth: Account, rng: Random, days: int) -> _Watched:
        return _Watched(
            truth,
            Server(truth, rng, days, self.faults),
            Naive(self.thresholds),
            Naive(self.thresholds, rounds=True),
        )

    def run(self) -> None:
        """Let whatever comes first happen: a poll that is due, or one of the machine's happenings."""
        t = 0.0
        while t < self._stop:
            due_at, name = self._due(t)
            if self._queue and self._queue[0][0] <= due_at:
                t, _, happening = heapq.heappop(self._queue)
                self._happen(happening)
            elif name:
                t = self._poll(due_at, name)
            else:
                break

    def _due(self, t: float) -> tuple[float, str]:
        """When the next poll begins, in true time; never while the program does not run."""
        if not (self._running and self._awake):
            return self._stop, ""
        moment, name = self._subject.due()
        return max(t, seconds(moment) - self._skew) + self._rng.uniform(0, 0.5), name

    def _clock(self, t: float) -> datetime:
        return instant(t + self._skew)

    def _soon(self, t: float, kind: str, value: float = 0.0) -> None:
        heapq.heappush(self._queue, (t, len(self._queue) + 1_000_000, Happening(t, kind, value)))

    def _happen(self, happening: Happening) -> None:
        t = happening.t
        match happening.kind:
            case "sleep":
                self._awake, self._asleep_at = False, t + self._skew
            case "wake":
                self._wake(t)
            case "start":
                self._start(t)
            case "kill" if self._running and self._awake:
                self._kill(t, happening.value)
            case "step":
                self._step(t, happening.value)
            case "refresh" if self._running and self._awake:
                self._tell_all(t, self._subject.refresh(self._clock(t)))

    def _wake(self, t: float) -> None:
        """Monotonic time stood still meanwhile, so that the program sees a step of its clock."""
        self.faults["suspend"] += 1
        self._awake = True
        if self._running:
            self._clock_stepped(t, t + self._skew - self._asleep_at)

    def _step(self, t: float, skew: float) -> None:
        self.faults["clock set"] += 1
        by, self._skew = skew - self._skew, skew
        for watched in self.watched.values():
            watched.delivered.clear()
        if self._running and self._awake:
            self._clock_stepped(t, by)

    def _clock_stepped(self, t: float, by: float) -> None:
        self._tell_all(t, self._subject.clock_stepped(self._clock(t), by))

    def _start(self, t: float) -> None:
        if not self._awake:
            self._soon(t + 600, "start")
            return
        self._running = True
        self._subject.start(self._clock(t))

    def _kill(self, t: float, down_for: float) -> None:
        self.faults["restart or kill"] += 1
        self._running = False
        self._subject.kill()
        for watched in self.watched.values():
            watched.naive.restart()
            watched.rounding.restart()
        self._soon(t + down_for, "start")

    def _poll(self, t: float, name: str) -> float:
        """One poll, and when it ended. A happening that falls into it comes after it, or is the end of it."""
        watched = self.watched[name]
        watched.attempts += 1
        self._tell_all(t, self._subject.poll_started(self._clock(t), name))
        arrives = t + self._rng.uniform(0.1, 1.5)
        if self._queue and self._queue[0][0] <= arrives and self._queue[0][2].kind == "kill":
            self.faults["killed in mid-poll"] += 1
            return arrives
        answer = self._answer(t, watched)
        if isinstance(answer, Refusal):
            self._refused(arrives, name, answer)
        else:
            self._answered(arrives, name, answer)
        return arrives

    def _answer(self, t: float, watched: _Watched) -> Refusal | dict[str, Seen]:
        if self._life.is_offline(t):
            self.faults["network outage"] += 1
            return Refusal(Reason.CONNECTION)
        return watched.server.answer(t, abs(self._skew) <= RIGHT)

    def _refused(self, t: float, name: str, refusal: Refusal) -> None:
        told = self._subject.poll_failed(
            self._clock(t), name, refusal.reason, refusal.retry_after, self._rng.random()
        )
        self._tell_all(t, told)

    def _answered(self, t: float, name: str, seen: dict[str, Seen]) -> None:
        watched = self.watched[name]
        usage = self._read(seen, self._clock(t))
        self._deliver(t, name, usage, seen)
        watched.server.delivered(seen)
        if watched.delivered and self._rng.random() < DOUBLED:
            self._deliver_again(t + 0.01, name)
        watched.delivered = [*watched.delivered[-5:], (usage, seen)]
        if watched.server.looks_odd(seen) and self._rng.random() < 0.5:
            self._soon(t + self._rng.uniform(5, 40), "refresh")

    def _deliver(
        self, t: float, name: str, usage: Usage, seen: dict[str, Seen], late: bool = False
    ) -> None:
        watched = self.watched[name]
        told = self._subject.poll_succeeded(self._clock(t), name, usage, self._rng.random())
        at = seconds(usage.at)
        watched.log.entries.append(Entry(t, at, watched.attempts, seen, late))
        place = len(watched.log.entries) - 1
        _note(watched.log, place, [(one, alert) for one, alert in told if one == name])
        self._tell_all(t, [(one, alert) for one, alert in told if one != name])
        watched.log.naive += [(place, alert) for alert in watched.naive.tell(seen)]
        watched.log.rounding += [(place, alert) for alert in watched.rounding.tell(seen)]

    def _deliver_again(self, t: float, name: str) -> None:
        usage, seen = self._rng.choice(self.watched[name].delivered)
        self.faults["answer doubled or out of order"] += 1
        self._deliver(t, name, usage, seen, late=True)

    def _tell_all(self, t: float, told: Iterable[tuple[str, Told]]) -> None:
        for name, alert in told:
            self._tell(t, self.watched[name], [(name, alert)])

    def _tell(self, t: float, watched: _Watched, told: list[tuple[str, Told]]) -> None:
        """Note what was sent at anything but an answer."""
        if told:
            watched.log.entries.append(Entry(t, t + self._skew, watched.attempts, {}, late=True))
            _note(watched.log, len(watched.log.entries) - 1, told)


def _note(log: Log, place: int, told: Iterable[tuple[str, Told]]) -> None:
    for _, alert in told:
        (log.weeks if alert.is_week else log.ours).append((place, alert))


def parsed(seen: dict[str, Seen], at: datetime) -> Usage:
    """What the program makes of an answer, by way of the wire."""
    return parse_usage(_body(seen), at)


def rounded(seen: dict[str, Seen], at: datetime) -> Usage:
    """The same without the wire."""
    windows = (
        Window(key, window.percent / 100, _moment(_whole_minute(window.named_end)))
        for key, window in sorted(seen.items())
    )
    return Usage(at, tuple(windows))


def _whole_minute(end: float | None) -> float | None:
    return None if end is None else round(end / MINUTE) * MINUTE


def _body(seen: dict[str, Seen]) -> bytes:
    limits = {key: Limit(window.percent, _moment(window.named_end)) for key, window in seen.items()}
    models = {"Fable": limits[FABLE]} if FABLE in limits else {}
    return json.dumps(
        usage_body(Limits(limits.get(FIVE_HOURS), limits.get(SEVEN_DAYS), models))
    ).encode()


def _moment(end: float | None) -> datetime | None:
    return None if end is None else instant(end)
