"""The alert machine: from samples of one window to alerts that are true, and told once.

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
* What of a week expired is known if its last sample was at most a day before its end, and no hint of an early reset.
  The machine notes such a week; `conditions` tells of it, unless the end proves to have been moved.
* An answer that Claude Code has kept is a sample like that of a poll, at the instant at which it came; but it may be
  found much later. What it would tell is told only if that is still so: the window is the same, the reset still news.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.memory import EndedWeek, Point, WindowMemory
from monitor.core.alerts.rules import RuleBook
from monitor.core.effects import Alert, AlertKind
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, Usage, Window, window_duration

SAME_END: Final = timedelta(seconds=120)
NEWS_FOR: Final = timedelta(minutes=15)
CONFIRM_AFTER: Final = timedelta(seconds=60)
WEEK_READ_WITHIN: Final = timedelta(days=1)
DROP: Final = 0.10
FULL: Final = 1.0

LOOK_BACK: Final = {FIVE_HOURS: timedelta(minutes=30)}
LOOK_BACK_WEEK: Final = timedelta(hours=6)
"""How far back a pace is measured: shorter looks at whole percents project wildly (simulated: a true 60 % week read
over 30 minutes is called full in 15 % of looks).
"""
POINTS: Final = 12
"""A look-back is kept in about so many points."""

PLAN_WIDE: Final = frozenset({FIVE_HOURS, SEVEN_DAYS})

_RESETS: Final = frozenset({AlertKind.RESET, AlertKind.EARLY_RESET})

Memories = Mapping[str, WindowMemory]
Told = tuple[WindowMemory, tuple[Alert, ...]]


def observe(
    account: str, memories: Memories, usage: Usage, rules: RuleBook
) -> tuple[Memories, tuple[Alert, ...]]:
    """Fold one account's usage into what is remembered of its windows, and say what is to be told."""
    changed = dict(memories)
    told: list[Alert] = []
    for window in usage.windows:
        machine = _Machine(account, window, usage.at, rules)
        changed[window.key], alerts = machine.observe(memories.get(window.key))
        told.extend(alerts)
    return changed, _that_open(told, usage)


def is_still_news(alert: Alert, now: datetime) -> bool:
    """Whether what a sample has told is worth telling by now: its window has not ended, or has ended a moment ago."""
    if alert.resets_at is None:
        return True
    if alert.kind in _RESETS:
        return now - alert.resets_at <= NEWS_FOR
    return alert.resets_at > now


class _Machine:
    """One window's next step: a sample, and what the rules say of its account and window."""

    def __init__(self, account: str, sample: Window, at: datetime, rules: RuleBook) -> None:
        self._account = account
        self._sample = sample
        self._at = at
        self._rules = rules
        self._thresholds = rules.thresholds_of(account)

    def observe(self, memory: WindowMemory | None) -> Told:
        """The table above, row by row."""
        if memory is None:
            return self._baseline(), ()
        if self._at <= memory.at:
            return memory, ()
        if self._sample.resets_at is not None and self._sample.resets_at <= self._at:
            return replace(memory, at=self._at), ()
        if memory.resets_at is not None and memory.resets_at <= self._at:
            return self._after_the_end(memory, memory.resets_at)
        if memory.resets_at is None and self._sample.resets_at is not None:
            return self._with_thresholds(self._opened_after(memory))
        if self._looks_reset(memory):
            return self._hint_of_early_reset(memory)
        return self._with_thresholds(self._one_sample_on(memory))

    def _baseline(self) -> WindowMemory:
        opened = self._opened()
        reached = self._reached(opened)
        return replace(opened, told=frozenset(reached), reached=reached)

    def _opened(self) -> WindowMemory:
        sample = self._sample
        return WindowMemory(
            at=self._at,
            utilization=sample.utilization,
            resets_at=sample.resets_at,
            peak=sample.utilization,
            track=(Point(self._at, sample.utilization),),
        )

    def _opened_after(self, closed: WindowMemory) -> WindowMemory:
        """A window that opens; what was told of it while it read as closed, and has not fallen since, stays told."""
        goes_on = self._sample.utilization >= closed.utilization
        told = closed.told if goes_on else frozenset()
        return replace(
            self._opened(), told=told, generation=closed.generation, ended_week=closed.ended_week
        )

    def _one_sample_on(self, memory: WindowMemory) -> WindowMemory:
        sample = self._sample
        return replace(
            memory,
            at=self._at,
            utilization=sample.utilization,
            resets_at=sample.resets_at or memory.resets_at,
            peak=max(memory.peak, sample.utilization),
            low_since=None,
            low_end=None,
            track=with_point(memory.track, Point(self._at, sample.utilization), sample.key),
        )

    def _after_the_end(self, memory: WindowMemory, end: datetime) -> Told:
        """The known end has passed: a rollover, a schedule that was changed, or the same end a moment later."""
        new_end = self._sample.resets_at
        if new_end is None:
            return self._new_period(memory, AlertKind.RESET, ended_at=end)
        if new_end - end <= SAME_END:
            return replace(memory, at=self._at, resets_at=new_end), ()
        length = window_duration(self._sample.key)
        too_early = length is not None and new_end - end < length - SAME_END
        if too_early and memory.utilization - self._sample.utilization < DROP:
            return self._with_thresholds(self._one_sample_on(memory))
        return self._new_period(memory, AlertKind.RESET, ended_at=end)

    def _looks_reset(self, memory: WindowMemory) -> bool:
        if memory.resets_at is None:
            lasts = window_duration(self._sample.key) is not None
            return not lasts and self._has_fallen(memory) and self._has_halved(memory)
        end = self._sample.resets_at
        if end is None or self._has_stayed_moved(memory):
            return True
        is_elsewhere = abs(end - memory.resets_at) > SAME_END
        return self._has_fallen(memory) and (is_elsewhere or self._has_halved(memory))

    def _has_fallen(self, memory: WindowMemory) -> bool:
        return memory.utilization - self._sample.utilization >= DROP

    def _has_halved(self, memory: WindowMemory) -> bool:
        return self._sample.utilization < memory.utilization / 2

    def _has_stayed_moved(self, memory: WindowMemory) -> bool:
        """Whether the end is still where a hint of an early reset had moved it to: use may have grown again."""
        ends = memory.resets_at, memory.low_end, self._sample.resets_at
        if memory.low_since is None or None in ends:
            return False
        old, hinted, new = (end for end in ends if end is not None)
        return abs(hinted - old) > SAME_END and abs(new - hinted) <= SAME_END

    def _hint_of_early_reset(self, memory: WindowMemory) -> Told:
        """Keep the period as it was, utilization included, until a second low sample confirms its end."""
        if memory.low_since is None:
            hint = replace(memory, low_since=self._at, low_end=self._sample.resets_at)
            return replace(hint, at=self._at), ()
        if self._at - memory.low_since < CONFIRM_AFTER:
            return replace(memory, at=self._at), ()
        return self._new_period(memory, AlertKind.EARLY_RESET, ended_at=memory.low_since)

    def _new_period(self, old: WindowMemory, kind: AlertKind, ended_at: datetime) -> Told:
        early = kind is AlertKind.EARLY_RESET
        opened = replace(
            self._opened(),
            generation=old.generation + 1 if early else 0,
            ended_week=old.ended_week if early else self._ended_week(old, ended_at),
        )
        memory, alerts = self._with_thresholds(opened)
        if self._is_news(old, kind, ended_at):
            reset = self._alert(kind, old.peak, ended_at, old.period)
            alerts = (reset, *alerts)
        return memory, alerts

    def _ended_week(self, old: WindowMemory, end: datetime) -> EndedWeek | None:
        """The week that ended then, if it is to be told of, and if it is known what had been used of it."""
        if self._sample.key != SEVEN_DAYS or not self._speaks(AlertKind.WEEK_EXPIRED):
            return None
        read_at = old.track[-1].at if old.track else old.at
        if old.low_since is not None or end - read_at > WEEK_READ_WITHIN:
            return None
        return EndedWeek(end, old.period, old.utilization, read_at, self._at)

    def _is_news(self, old: WindowMemory, kind: AlertKind, ended_at: datetime) -> bool:
        if not self._thresholds or not self._speaks(kind):
            return False
        lowest = min(self._thresholds)
        was_high = old.peak >= lowest and self._sample.utilization < lowest
        return was_high and self._at - ended_at <= NEWS_FOR

    def _with_thresholds(self, memory: WindowMemory) -> Told:
        """Tell the highest threshold that is reached, unless it or a higher one has spoken in this period.

        The limit is reached silently where the user has set it as a threshold, which then speaks for it.
        """
        memory = replace(memory, reached=self._reached(memory))
        due = self._due(memory, AlertKind.THRESHOLD) & frozenset(self._thresholds)
        full = self._due(memory, AlertKind.LIMIT) & ({FULL} - frozenset(self._thresholds))
        told = replace(memory, told=memory.told | due | full)
        alerts = []
        if due - memory.told and max(due) not in memory.told:
            alerts.append(replace(self._high(AlertKind.THRESHOLD, memory), threshold=max(due)))
        if full - memory.told:
            alerts.append(self._high(AlertKind.LIMIT, memory))
        return told, tuple(alert for alert in alerts if self._speaks(alert.kind))

    def _reached(self, memory: WindowMemory) -> dict[float, datetime]:
        """The thresholds that the sample is at or above, the limit among them, and since when."""
        reached = [t for t in {*self._thresholds, FULL} if self._sample.utilization >= t]
        return {t: memory.reached.get(t, self._at) for t in sorted(reached)}

    def _due(self, memory: WindowMemory, kind: AlertKind) -> frozenset[float]:
        hold = self._rules.rule(kind).hold
        return frozenset(t for t, since in memory.reached.items() if self._at - since >= hold)

    def _high(self, kind: AlertKind, memory: WindowMemory) -> Alert:
        return self._alert(kind, self._sample.utilization, memory.resets_at, memory.period)

    def _speaks(self, kind: AlertKind) -> bool:
        return self._rules.applies(kind, self._account, self._sample.key)

    def _alert(
        self, kind: AlertKind, utilization: float, resets_at: datetime | None, period: str
    ) -> Alert:
        return Alert(
            kind,
            self._account,
            self._sample.key,
            self._at,
            utilization=utilization,
            resets_at=resets_at,
            period=period,
        )


def _that_open(alerts: Sequence[Alert], usage: Usage) -> tuple[Alert, ...]:
    """The alerts without those that call a window open again while another plan-wide window is full."""
    full = {w.key for w in usage.windows if w.utilization >= FULL and w.key in PLAN_WIDE}
    return tuple(a for a in alerts if a.kind not in _RESETS or not (full - {a.window}))


# The pace: how fast a window fills, and when it would be full.


@dataclass(frozen=True, slots=True)
class Forecast:
    """`pace` is in ratio per hour; `full_at` is when 1 is reached at that pace."""

    pace: float
    full_at: datetime


def look_back(key: str) -> timedelta:
    """How far back the pace of the window with this key is measured."""
    return LOOK_BACK.get(key.partition("_")[0], LOOK_BACK_WEEK)


def with_point(track: Sequence[Point], point: Point, key: str) -> tuple[Point, ...]:
    """The track with one more point; it stays within the look-back, and short."""
    span = look_back(key)
    recent = [p for p in track if point.at - p.at <= span]
    if len(recent) >= 2 and recent[-1].at - recent[-2].at < span / POINTS:
        recent.pop()  # the last two stand close together: the newer one goes on for both
    return (*recent, point)


def forecast(track: Sequence[Point], key: str) -> Forecast | None:
    """When the window would be full; None where it does not fill, or is not known long enough to say."""
    if len(track) < 2:
        return None
    first, last = track[0], track[-1]
    span = last.at - first.at
    if span < look_back(key) / 2 or last.utilization <= first.utilization:
        return None
    pace = (last.utilization - first.utilization) / (span / timedelta(hours=1))
    hours = max(1 - last.utilization, 0.0) / pace
    return Forecast(pace, last.at + timedelta(hours=min(hours, 24 * 365)))
