"""The alert machine: turns the samples of one window into alerts that are true, and sent once.

A *sample* is what one successful poll says of one window: a utilization, and the instant `resets_at` at
which the window ends (None while none is open). A failed poll is no sample. What is told belongs to a
*period*: the life of one window from its opening to its end. The machine remembers, for each window,
the period it is in, the highest utilization of that period and the thresholds that need no more words in it.

Each sample is one of these, and the first that fits decides:

    sample                                              what it is            what is told
    ------                                              ----------            ------------
    not newer than the last one                         late or doubled       nothing, nothing is changed
    the first of its window                             a baseline            nothing; thresholds at or below
                                                                              it count as told
    it names an end that has passed                     the server lags       nothing
    the known end has passed, and the sample            a rollover: a new     a reset, if the old period had
    names a later end, or none                          period                been high and the end is news
    the same, but the new end comes sooner than         a changed schedule    -
    a new window could end, and nothing fell
    the known end has passed, and the sample            the same end, moved   nothing
    names one less than two minutes later               by a moment
    no window had been open, one is open now            a new period          what was told of the closed one
                                                                              counts as told, if it has not fallen
    the end lies ahead, and the value fell by           perhaps an early      nothing until a second low sample
    10 points or more to less than half, or with        reset                 at least 60 s after the first; then
    a moved end, or no window is open any more                                a new period, and a reset as above
    anything else                                       the same period       -

and then, unless it was late, a baseline or a mere hint of an early reset, the thresholds are compared: the
highest one that the sample is at or above speaks, if it has not spoken in this period; those below it
count as told with it, so that a jump from 50 % to 97 % is one alert and not three.

Why so, and not simpler:

* `resets_at` is computed anew for each answer and wobbles by up to 1.9 s around the true instant, across
  second and minute boundaries. Ends closer than two minutes are therefore the same end.
* The end sometimes moves by hours without the usage falling. That is a changed schedule: the period goes on
  with what it has told, and nothing is said.
* Usage never falls within a period, but answers do: figures are revised by a few points, and a stale or empty
  answer reads 0 for a moment and the next one is back at 73 %. A single low sample is thus only a hint; until
  a second one the period stands as it was, and a sample that is back at half or more cancels the hint,
  unless the end has moved with the drop and stays there: then the window is a new one that fills quickly.
* Early resets are real as well (a plan change, a banked reset): hence the second look.
* A reset is told only if the period had reached the lowest threshold: nobody waits for a window that was
  never full. It is told only while it is news, 15 minutes from the end: after a night's sleep it is not.
  A new period that already stands at the lowest threshold is not "open again".
* What of a week expired is known if its last sample was at most a day before its end, and no hint of an early reset;
  a hint within the last two minutes is the end itself, seen by a clock that is behind.
  The machine notes such a week; `conditions` tells of it, unless the end proves to have been moved.
* An answer that Claude Code has kept is a sample like that of a poll, at the instant at which it came; but it may be
  found much later. What it would tell is told only if that is still so: the window is the same, the reset still news.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.rules import (
    RESETS,
    Alert,
    AlertKind,
    EndedWeek,
    Point,
    RuleBook,
    WindowMemory,
)
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, Usage, Window, window_duration

SAME_END: Final = timedelta(seconds=120)
NEWS_FOR: Final = timedelta(minutes=15)
CONFIRM_AFTER: Final = timedelta(seconds=60)
WEEK_READ_WITHIN: Final = timedelta(days=1)
DROP: Final = 0.10
FULL: Final = 1.0

LOOK_BACK: Final = timedelta(minutes=30)
POINTS: Final = 12
"""The look-back of a 5-hour window's slope, and in about how many points it is kept."""

PLAN_WIDE: Final = frozenset({FIVE_HOURS, SEVEN_DAYS})

Memories = Mapping[str, WindowMemory]
Result = tuple[WindowMemory, tuple[Alert, ...]]
"""The new memory of the window, and the alerts to be sent."""


def observe(
    account: str, memories: Memories, usage: Usage, rules: RuleBook
) -> tuple[Memories, tuple[Alert, ...]]:
    """Fold one account's usage into the memories of its windows; return these, and the alerts to be sent."""
    changed = dict(memories)
    found: list[Alert] = []
    for window in usage.windows:
        machine = _Machine(account, window, usage.at, rules)
        changed[window.key], alerts = machine.observe(memories.get(window.key))
        found += alerts
    # No window is open again while another plan-wide one is full.
    full = {w.key for w in usage.windows if w.utilization >= FULL and w.key in PLAN_WIDE}
    return changed, tuple(a for a in found if a.kind not in RESETS or full <= {a.window})


def is_still_news(alert: Alert, now: datetime) -> bool:
    """Return whether a sample's alert is still worth sending: its window is open, or was reset a moment ago."""
    if alert.resets_at is None:
        return True
    if alert.kind in RESETS:
        return now - alert.resets_at <= NEWS_FOR
    return alert.resets_at > now


@dataclass(frozen=True, slots=True)
class _Machine:
    """One sample of one window, and the rules by which it is judged."""

    account: str
    sample: Window
    at: datetime
    rules: RuleBook

    def observe(self, memory: WindowMemory | None) -> Result:
        """Judge the sample by the table above, row by row."""
        end = self.sample.resets_at
        if memory is None:
            reached = self._levels_reached({})
            return replace(self._open_period(), told=frozenset(reached), reached=reached), ()
        if self.at <= memory.at:
            return memory, ()
        if end is not None and end <= self.at:
            return replace(memory, at=self.at), ()
        if memory.resets_at is not None and memory.resets_at <= self.at:
            return self._roll_over(memory, memory.resets_at)
        if memory.resets_at is None and end is not None:
            goes_on = self.sample.utilization >= memory.utilization
            opened = replace(
                self._open_period(),
                told=memory.told if goes_on else frozenset(),
                generation=memory.generation,
                ended_week=memory.ended_week,
            )
            return self._check_thresholds(opened)
        if not self._looks_reset(memory):
            return self._check_thresholds(self._continue_period(memory))
        # The period stays as it was, utilization included, until a second low sample confirms its end.
        if memory.low_since is None:
            return replace(memory, at=self.at, low_since=self.at, low_end=end), ()
        if self.at - memory.low_since < CONFIRM_AFTER:
            return replace(memory, at=self.at), ()
        return self._start_period(memory, AlertKind.EARLY_RESET, memory.low_since)

    def _open_period(self) -> WindowMemory:
        return WindowMemory(
            at=self.at,
            utilization=self.sample.utilization,
            resets_at=self.sample.resets_at,
            peak=self.sample.utilization,
            track=self._extend_track(()),
        )

    def _continue_period(self, memory: WindowMemory) -> WindowMemory:
        return replace(
            memory,
            at=self.at,
            utilization=self.sample.utilization,
            resets_at=self.sample.resets_at or memory.resets_at,
            peak=max(memory.peak, self.sample.utilization),
            low_since=None,
            low_end=None,
            track=self._extend_track(memory.track),
        )

    def _roll_over(self, memory: WindowMemory, end: datetime) -> Result:
        """Judge a sample after the known end: a rollover, a changed schedule, or the same end a moment later."""
        new_end, length = self.sample.resets_at, window_duration(self.sample.key)
        if new_end is not None:
            if new_end - end <= SAME_END:
                return replace(memory, at=self.at, resets_at=new_end), ()
            too_early = length is not None and new_end - end < length - SAME_END
            if too_early and memory.utilization - self.sample.utilization < DROP:
                return self._check_thresholds(self._continue_period(memory))
        return self._start_period(memory, AlertKind.RESET, end)

    def _looks_reset(self, memory: WindowMemory) -> bool:
        end, known, hinted = self.sample.resets_at, memory.resets_at, memory.low_end
        has_fallen = memory.utilization - self.sample.utilization >= DROP
        has_halved = self.sample.utilization < memory.utilization / 2
        if known is None:
            lasts = window_duration(self.sample.key) is not None
            return not lasts and has_fallen and has_halved
        if end is None:
            return True
        # Use may have grown again, with the end still where a hint of an early reset had moved it to.
        if hinted is not None and abs(end - hinted) <= SAME_END < abs(hinted - known):
            return True
        return has_fallen and (has_halved or abs(end - known) > SAME_END)

    def _start_period(self, old: WindowMemory, kind: AlertKind, ended_at: datetime) -> Result:
        early = kind is AlertKind.EARLY_RESET
        opened = replace(
            self._open_period(),
            generation=old.generation + 1 if early else 0,
            ended_week=old.ended_week if early else self._record_week(old, ended_at),
        )
        memory, alerts = self._check_thresholds(opened)
        lowest = min(self.rules.thresholds_of(self.account), default=None)
        was_high = lowest is not None and old.peak >= lowest > self.sample.utilization
        if was_high and self.at - ended_at <= NEWS_FOR and self._applies(kind):
            alerts = (self._make_alert(kind, old.peak, ended_at, old), *alerts)
        return memory, alerts

    def _record_week(self, old: WindowMemory, end: datetime) -> EndedWeek | None:
        """Remember the week that ended, where an alert is wanted and it is known how much was used."""
        if self.sample.key != SEVEN_DAYS or not self._applies(AlertKind.WEEK_EXPIRED):
            return None
        is_hinted = old.low_since is not None and end - old.low_since > SAME_END
        if is_hinted or end - old.at > WEEK_READ_WITHIN:
            return None
        return EndedWeek(end, old.period, old.utilization, old.at, self.at)

    def _check_thresholds(self, memory: WindowMemory) -> Result:
        """Make an alert of the highest threshold that is reached, unless it or a higher one was told in this period.

        The limit has no alert of its own where the user has set it as a threshold.
        """
        reached = self._levels_reached(memory.reached)

        def due(kind: AlertKind, levels: Set[float]) -> frozenset[float]:
            hold = self.rules.rule(kind).hold
            held = (level for level, since in reached.items() if self.at - since >= hold)
            return frozenset(held) & levels

        thresholds = frozenset(self.rules.thresholds_of(self.account))
        passed = due(AlertKind.THRESHOLD, thresholds)
        full = due(AlertKind.LIMIT, {FULL} - thresholds)
        used, end = self.sample.utilization, memory.resets_at
        alerts = []
        if passed and max(passed) not in memory.told:
            alert = self._make_alert(AlertKind.THRESHOLD, used, end, memory)
            alerts.append(replace(alert, threshold=max(passed)))
        if full - memory.told:
            alerts.append(self._make_alert(AlertKind.LIMIT, used, end, memory))
        told = replace(memory, reached=reached, told=memory.told | passed | full)
        return told, tuple(alert for alert in alerts if self._applies(alert.kind))

    def _levels_reached(self, before: Mapping[float, datetime]) -> dict[float, datetime]:
        """Return the thresholds that the sample is at or above, the limit among them, and since when."""
        levels = sorted({*self.rules.thresholds_of(self.account), FULL})
        return {t: before.get(t, self.at) for t in levels if self.sample.utilization >= t}

    def _applies(self, kind: AlertKind) -> bool:
        return self.rules.applies(kind, self.account, self.sample.key)

    def _make_alert(
        self, kind: AlertKind, utilization: float, resets_at: datetime | None, of: WindowMemory
    ) -> Alert:
        return Alert(
            kind,
            self.account,
            self.sample.key,
            self.at,
            utilization=utilization,
            resets_at=resets_at,
            period=of.period,
            generation=of.generation,
        )

    def _extend_track(self, before: Sequence[Point]) -> tuple[Point, ...]:
        """Add the sample to the points by which the slope is measured, of a 5-hour window."""
        if not self.sample.key.startswith(FIVE_HOURS):
            return ()
        recent = [point for point in before if self.at - point.at <= LOOK_BACK]
        if len(recent) >= 2 and recent[-1].at - recent[-2].at < LOOK_BACK / POINTS:
            recent.pop()  # the last two stand close together: the newer one goes on for both
        return (*recent, Point(self.at, self.sample.utilization))


def full_by_slope(track: Sequence[Point]) -> datetime | None:
    """Say when the window would be full at its pace; None where it does not fill, or has too few samples.

    Less than half of the look-back gives wild projections, since readings are whole percents.
    """
    if len(track) < 2:
        return None
    first, last = track[0], track[-1]
    used, span = last.utilization - first.utilization, last.at - first.at
    if span < LOOK_BACK / 2 or used <= 0:
        return None
    hours = max(1 - last.utilization, 0.0) / used * (span / timedelta(hours=1))
    return last.at + timedelta(hours=min(hours, 24 * 365))
