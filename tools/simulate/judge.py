"""Compares what was told with the truth: false, told twice, missed, and late. It knows no code of the program.

What is owed follows from the truth, from what honest answers showed of it, and from the documented rules:

* A period is new to somebody who only sees answers when its predecessor's end has passed and an answer names a later
  end or none; or, ahead of that end, when two answers at least 60 s apart (no normal one between them) show that usage
  fell by 10 points or more to less than half, that no window is open, or a fall of 10 points with another end.
  A period that was never shown to be new counts, as to what is owed, as the one before it.
* The first answer ever is a baseline. After it, the highest threshold that an answer reaches is owed unless it was
  reached in this period before; those below it are not owed any more.
* A reset is owed if the period had reached the lowest threshold, the new one stands below it, it is news (15 minutes
  from the end; an early reset counts from its confirmation to the true instant), and no other plan-wide limit is full.

What may be told is more: whatever is true, shown by an honest answer, and not yet told in its true period. An early
reset has no instant that an answer could show, so that its 15 minutes run from the first answer that showed it, or
from the known end where that passed before a second answer had confirmed the first one.
While the machine's clock is wrong nothing is owed by it, and it may be late by the clock's error. By a clock that is
behind, an answer that lags behind a reset is one of before it: its figure is the former period's last, and may be told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tools.simulate.record import FIVE_HOURS, MINUTE, SEVEN_DAYS, Entry, Log, Seen, Told
from tools.simulate.truth import Account, Period, Window

NEWS = 15 * MINUTE
APART = MINUTE
SAME_END = 2 * MINUTE
FALL = 10.0
SAME_PERCENT = 0.05
CLOCK_RIGHT = MINUTE
FULL = 100.0
PLAN_WIDE = (FIVE_HOURS, SEVEN_DAYS)

Fact = tuple[str, int, float | None]
"""A window, the period that is spoken of (for a reset: the one that ended), and the threshold or None."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and at which entry of the log."""

    fault: str
    window: str
    threshold: float | None
    entry: int
    why: str


@dataclass(slots=True)
class Verdict:
    """Delays are counted in polls of the account, failed ones included, and in seconds."""

    told: int = 0
    owed: int = 0
    old_news: int = 0
    max_delay: int = 0
    max_delay_seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def count(self, fault: str) -> int:
        return sum(finding.fault == fault for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Debt:
    entry: int
    attempt: int
    t: float


def judge(
    account: Account, log: Log, alerts: Iterable[tuple[int, Told]], thresholds: Sequence[float]
) -> Verdict:
    """The verdict on the alerts of one account, each given with its place in the log's entries."""
    verdict = Verdict()
    trials = {key: _Trial(w, thresholds, verdict) for key, w in account.windows.items()}
    by_entry: dict[int, list[Told]] = {}
    for place, alert in alerts:
        by_entry.setdefault(place, []).append(alert)
    for place, entry in enumerate(log.entries):
        for key, seen in entry.seen.items():
            if not entry.late:
                trials[key].learn(place, entry, seen)
        for alert in by_entry.get(place, ()):
            verdict.told += 1
            trial = trials.get(alert.window)
            if trial is None:
                why = "the account has no such window"
                verdict.findings.append(Finding("false", alert.window, alert.threshold, place, why))
            else:
                trial.hear(place, entry, alert)
    for trial in trials.values():
        trial.close()
    return verdict


class _Trial:
    """One window: what honest answers have shown, what is owed, and what was told."""

    def __init__(self, window: Window, thresholds: Sequence[float], verdict: Verdict) -> None:
        self._window = window
        self._thresholds = sorted(thresholds)
        self._verdict = verdict
        self._base: Seen | None = None  # the last honest answer of the period as shown
        self._hint: tuple[float, float] | None = None  # (t, at) of the first sign of an early reset
        self._places: set[int] = set()  # the true periods that were shown as this one
        self._peak = 0.0
        self._silent: set[float] = set()  # thresholds that were owed in it, and those below them
        self._baseline = -1
        self._peaks: dict[int, float] = {}
        self._known_end: dict[int, float] = {}
        self._shown_over: dict[int, float] = {}
        self._rolled_over: dict[
            int, int
        ] = {}  # periods known to be over by their end, and at which entry
        self._true_since: dict[Fact, float | None] = {}
        self._owed: dict[Fact, _Debt] = {}
        self._told: set[Fact] = set()

    def learn(self, place: int, entry: Entry, seen: Seen) -> None:
        """Take in one answer, in the order in which answers were given."""
        base = self._base
        if base is None:
            self._first(seen)
            return
        if not seen.honest:
            if not _is_sign(base, seen):
                self._hint = None
            return
        self._note(entry, seen)
        if seen.end is not None and seen.end <= entry.at:
            self._allow(entry, seen)  # by the machine's clock the server lags: nothing is owed
            self._peaks[seen.place] = max(self._peaks.get(seen.place, 0.0), seen.percent)
        elif seen.place in self._places:
            self._goes_on(place, entry, seen)
        else:
            self._changed(place, entry, base, seen)

    def _first(self, seen: Seen) -> None:
        self._baseline = seen.place
        self._begin(seen)
        self._silent = set(self._reached(seen))

    def _note(self, entry: Entry, seen: Seen) -> None:
        """Remember when an honest answer first showed what lies behind each period's end."""
        former = self._window.ended_before(entry.t)
        number = former.id if former is not None else -1
        while number >= 0 and number != seen.place and number not in self._shown_over:
            self._shown_over[number] = entry.t
            number -= 1

    def _begin(self, seen: Seen) -> None:
        self._places, self._peak, self._silent = {seen.place}, seen.percent, set()
        self._settle_in(seen)

    def _settle_in(self, seen: Seen) -> None:
        self._base, self._hint = seen, None
        self._places.add(seen.place)
        self._peak = max(self._peak, seen.percent)
        self._peaks[seen.place] = self._peak
        if seen.end is not None:
            self._known_end[seen.place] = seen.end

    def _goes_on(self, place: int, entry: Entry, seen: Seen) -> None:
        self._settle_in(seen)
        self._owe_threshold(place, entry, seen)

    def _changed(self, place: int, entry: Entry, base: Seen, seen: Seen) -> None:
        """The true period is another one: was that to be seen?"""
        if base.end is None:
            is_new = seen.end is not None
        elif base.end <= entry.at:
            is_new = self._is_rollover(base, seen)
        elif not _is_sign(base, seen):
            is_new = False
        elif not self._is_confirmed(entry):
            self._peaks[seen.place] = max(self._peak, seen.percent)
            return
        else:
            is_new = True
        if is_new:
            self._owe_reset(place, entry, base, seen)
            self._begin(seen)
        self._goes_on(place, entry, seen)

    def _is_rollover(self, base: Seen, seen: Seen) -> bool:
        """Whether the passed end was an end, and not just moved: periods have a length, and usage does not fall."""
        assert base.end is not None
        if seen.end is None:
            return True
        whole = seen.end - base.end >= self._window.duration - SAME_END
        return whole or base.percent - seen.percent >= FALL

    def _is_confirmed(self, entry: Entry) -> bool:
        if self._hint is None:
            self._hint = (entry.t, entry.at)
        t, at = self._hint
        return entry.t - t >= APART and entry.at - at >= APART

    def _reached(self, seen: Seen) -> list[float]:
        return [threshold for threshold in self._thresholds if seen.percent >= threshold]

    def _allow(self, entry: Entry, seen: Seen) -> None:
        """From now on the highest threshold reached may be told; `None` while only a wrong clock has seen it."""
        reached = self._reached(seen)
        if not reached or (seen.place == self._baseline and reached[-1] in self._silent):
            return
        fact = (self._window.key, seen.place, reached[-1])
        if self._true_since.get(fact) is None:
            self._true_since[fact] = entry.t if _clock_is_right(entry) else None

    def _owe_threshold(self, place: int, entry: Entry, seen: Seen) -> None:
        reached = self._reached(seen)
        if not reached:
            return
        self._allow(entry, seen)
        if reached[-1] not in self._silent:
            self._owe((self._window.key, seen.place, reached[-1]), place, entry)
        self._silent.update(reached)

    def _owe_reset(self, place: int, entry: Entry, base: Seen, seen: Seen) -> None:
        ended = self._window.periods[base.place] if base.place >= 0 else None
        if ended is None or base.end is None:
            return
        first_shown = self._hint[1] if self._hint else entry.at
        known = min(base.end, first_shown)
        if base.end <= entry.at:
            self._rolled_over[ended.id] = place
        lowest = self._thresholds[0]
        is_news = entry.t - ended.over_at <= NEWS and entry.at - known <= NEWS
        if self._peak >= lowest > seen.percent and is_news and not self._is_shut(entry):
            self._owe((self._window.key, ended.id, None), place, entry)

    def _is_shut(self, entry: Entry) -> bool:
        """Whether another plan-wide limit is shown as full, so that nothing is open again."""
        others = [
            w for key, w in entry.seen.items() if key in PLAN_WIDE and key != self._window.key
        ]
        return any(other.percent >= FULL for other in others)

    def _owe(self, fact: Fact, place: int, entry: Entry) -> None:
        if fact not in self._told and _clock_is_right(entry):
            self._owed.setdefault(fact, _Debt(place, entry.attempt, entry.t))

    def hear(self, place: int, entry: Entry, alert: Told) -> None:
        """Judge one alert."""
        if alert.threshold is None:
            facts, why = self._resets_meant(place, entry)
        else:
            facts, why = self._threshold_meant(entry, alert)
        if why:
            self._find("false", place, alert.threshold, why)
        elif self._told.issuperset(facts):
            self._find("double", place, alert.threshold, "told before in this period")
        else:
            self._told.update(facts)
            for fact in facts:
                self._pay(fact, entry)

    def _threshold_meant(self, entry: Entry, alert: Told) -> tuple[list[Fact], str]:
        threshold = alert.threshold
        fact = (self._window.key, self._window.place_at(entry.t), threshold)
        seen = entry.seen.get(self._window.key)
        if seen is not None and not entry.late:
            fact = (self._window.key, seen.place, threshold)
        if fact not in self._true_since:
            former = self._still_open_by_the_clock(entry)
            if former is None or threshold is None or former.values[-1] < threshold:
                return [], "no honest answer showed it in this period"
            fact = (self._window.key, former.id, threshold)
        if seen is not None and not _agrees(alert, seen):
            return [], "it names another figure or end than the answer"
        since = self._true_since.get(fact)
        late = fact not in self._told and since is not None and _is_late(entry, since)
        return [fact], "told late" if late else ""

    def _still_open_by_the_clock(self, entry: Entry) -> Period | None:
        """The period that has just ended, where the machine's clock says that it has not."""
        former = self._window.ended_before(entry.t)
        is_open = former is not None and not former.early and entry.at < former.over_at
        return former if is_open else None

    def _resets_meant(self, place: int, entry: Entry) -> tuple[list[Fact], str]:
        """The resets that an alert can mean, true and still news: where two are so close, it speaks of both."""
        seen = entry.seen.get(self._window.key)
        if seen is not None and seen.honest and seen.percent >= self._thresholds[0]:
            return [], "the window is high again already"
        if self._week_is_full(entry):
            return [], "the week is full"
        recent = self._resets_until(place, entry)
        if not recent:
            return [], "no such reset of a window that had been high, or no news any more"
        if entry.t - recent[-1].over_at > NEWS:
            self._verdict.old_news += 1
        return [(self._window.key, period.id, None) for period in recent], ""

    def _week_is_full(self, entry: Entry) -> bool:
        week = entry.seen.get(SEVEN_DAYS)
        if week is None or self._window.key != FIVE_HOURS:
            return False
        return week.honest and week.percent >= FULL

    def _resets_until(self, place: int, entry: Entry) -> list[Period]:
        """The true resets that are news at this entry, of periods that had been high."""
        last = self._window.ended_before(entry.t)
        ended = self._window.periods[max(0, last.id - 5) : last.id + 1] if last else ()
        return [p for p in ended if self._was_high(p) and not self._is_stale(p, place, entry)]

    def _was_high(self, period: Period) -> bool:
        return self._peaks.get(period.id, 0.0) >= self._thresholds[0]

    def _is_stale(self, period: Period, place: int, entry: Entry) -> bool:
        """Whether its end is no news: the known one, if that was true or all that there was to go by."""
        known = self._known_end.get(period.id)
        if known is not None and abs(known - period.over_at) <= SAME_END:
            return _is_late(entry, period.over_at)
        shown = self._shown_over.get(period.id, entry.t)
        if known is not None and self._rolled_over.get(period.id) == place:
            return _is_late(entry, max(shown, known))
        return _is_late(entry, shown)

    def _pay(self, fact: Fact, entry: Entry) -> None:
        debt = self._owed.pop(fact, None)
        if debt is not None:
            verdict = self._verdict
            verdict.owed += 1
            verdict.max_delay = max(verdict.max_delay, entry.attempt - debt.attempt)
            verdict.max_delay_seconds = max(verdict.max_delay_seconds, entry.t - debt.t)

    def close(self) -> None:
        """What is still owed was missed."""
        for (_, _, threshold), debt in self._owed.items():
            self._verdict.owed += 1
            self._find("missed", debt.entry, threshold, "never told")

    def _find(self, fault: str, place: int, threshold: float | None, why: str) -> None:
        self._verdict.findings.append(Finding(fault, self._window.key, threshold, place, why))


def _is_sign(base: Seen, seen: Seen) -> bool:
    """Whether an answer ahead of the end looks as if the period had been reset early."""
    if base.end is None or seen.end is None:
        return seen.end is None and base.end is not None
    fell = base.percent - seen.percent >= FALL
    return fell and (seen.percent < base.percent / 2 or abs(seen.end - base.end) > SAME_END)


def _agrees(alert: Told, seen: Seen) -> bool:
    """Whether an alert says of its window what the answer said."""
    if alert.percent is not None and abs(alert.percent - seen.percent) > SAME_PERCENT:
        return False
    if alert.end is None or seen.end is None:
        return alert.end is None
    return abs(alert.end - seen.end) <= SAME_END


def _clock_is_right(entry: Entry) -> bool:
    return abs(entry.at - entry.t) <= CLOCK_RIGHT


def _is_late(entry: Entry, since: float) -> bool:
    """A clock that is wrong may mislead by its error, and no more."""
    error = 0.0 if _clock_is_right(entry) else abs(entry.at - entry.t)
    return entry.t - since > NEWS + error
