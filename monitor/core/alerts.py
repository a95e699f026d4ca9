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
    the known end has passed, and the sample            the same end, moved   nothing
    names one less than two minutes later               by a moment
    no window had been open, one is open now            a new period          what was told of the closed one
                                                                              counts as told, if it has not fallen
    the end lies ahead, and the value fell by           perhaps an early      nothing until a second low sample
    10 points or more to less than half, or no          reset                 at least 60 s after the first; then
    window is open any more                                                   a new period, and a reset as above
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
  a second one the period stands as it was, and a sample that is back at half or more cancels the hint.
* Early resets are real as well (a plan change, a banked reset): hence the second look.
* A reset is told only if the period had reached the lowest threshold: nobody waits for a window that was
  never full. It is told only while it is news, 15 minutes from the end: after a night's sleep it is not.
  A new period that already stands at the lowest threshold is not "open again".
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.effects import Alert, AlertKind
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, Usage, Window, WindowMemory
from monitor.core.state import Policy

SAME_END: Final = timedelta(seconds=120)
NEWS_FOR: Final = timedelta(minutes=15)
CONFIRM_AFTER: Final = timedelta(seconds=60)
DROP: Final = 0.10

PLAN_WIDE: Final = frozenset({FIVE_HOURS, SEVEN_DAYS})

Memories = dict[str, WindowMemory]


def observe(
    account: str, memories: Memories, usage: Usage, policy: Policy
) -> tuple[Memories, tuple[Alert, ...]]:
    """Fold one account's usage into what is remembered of its windows, and say what is to be told."""
    changed = dict(memories)
    told: list[Alert] = []
    for window in usage.windows:
        memory, alerts = observe_window(account, memories.get(window.key), window, usage.at, policy)
        changed[window.key] = memory
        told.extend(alerts)
    return changed, tuple(told)


def observe_window(
    account: str, memory: WindowMemory | None, sample: Window, at: datetime, policy: Policy
) -> tuple[WindowMemory, tuple[Alert, ...]]:
    """The same for one window; the table above, row by row."""
    if memory is None:
        return _opened(sample, at, told=_reached(sample, policy)), ()
    if at <= memory.at:
        return memory, ()
    if sample.resets_at is not None and sample.resets_at <= at:
        return replace(memory, at=at), ()
    if _rolled_over(memory, sample, at):
        return _new_period(account, memory, sample, at, policy, ended_at=memory.resets_at)
    if memory.resets_at is not None and memory.resets_at <= at:
        return replace(memory, at=at, resets_at=sample.resets_at or memory.resets_at), ()
    if memory.resets_at is None and sample.resets_at is not None:
        goes_on = sample.utilization >= memory.utilization
        opened = _opened(sample, at, told=memory.told if goes_on else frozenset())
        return _with_threshold(account, opened, sample, policy)
    if _looks_reset(memory, sample, at):
        return _hint_of_early_reset(account, memory, sample, at, policy)
    same = memory.with_sample(at, sample.utilization)
    if sample.resets_at is not None:
        same = replace(same, resets_at=sample.resets_at)
    return _with_threshold(account, same, sample, policy)


def _opened(sample: Window, at: datetime, told: frozenset[float] = frozenset()) -> WindowMemory:
    return WindowMemory(
        at=at,
        utilization=sample.utilization,
        resets_at=sample.resets_at,
        peak=sample.utilization,
        told=told,
    )


def _reached(sample: Window, policy: Policy) -> frozenset[float]:
    return frozenset(t for t in policy.thresholds if sample.utilization >= t)


def _rolled_over(memory: WindowMemory, sample: Window, at: datetime) -> bool:
    if memory.resets_at is None or memory.resets_at > at:
        return False
    return sample.resets_at is None or sample.resets_at - memory.resets_at > SAME_END


def _looks_reset(memory: WindowMemory, sample: Window, at: datetime) -> bool:
    if memory.resets_at is None or memory.resets_at <= at:
        return False
    fell = memory.utilization - sample.utilization >= DROP
    return sample.resets_at is None or (fell and sample.utilization < memory.utilization / 2)


def _hint_of_early_reset(
    account: str, memory: WindowMemory, sample: Window, at: datetime, policy: Policy
) -> tuple[WindowMemory, tuple[Alert, ...]]:
    """Keep the period as it was, utilization included, until a second low sample confirms its end."""
    since = memory.low_since or at
    if at - since < CONFIRM_AFTER:
        return replace(memory, at=at, low_since=since), ()
    return _new_period(account, memory, sample, at, policy, ended_at=since)


def _new_period(
    account: str,
    old: WindowMemory,
    sample: Window,
    at: datetime,
    policy: Policy,
    ended_at: datetime | None,
) -> tuple[WindowMemory, tuple[Alert, ...]]:
    memory, alerts = _with_threshold(account, _opened(sample, at), sample, policy)
    reset = Alert(
        AlertKind.RESET, account, sample.key, at, utilization=old.peak, resets_at=ended_at
    )
    if _worth_telling(old, sample, at, ended_at or at, policy):
        alerts = (reset, *alerts)
    return memory, alerts


def _worth_telling(
    old: WindowMemory, sample: Window, at: datetime, ended_at: datetime, policy: Policy
) -> bool:
    if not (policy.alerts and policy.resets and policy.thresholds):
        return False
    lowest = min(policy.thresholds)
    return old.peak >= lowest and sample.utilization < lowest and at - ended_at <= NEWS_FOR


def _with_threshold(
    account: str, memory: WindowMemory, sample: Window, policy: Policy
) -> tuple[WindowMemory, tuple[Alert, ...]]:
    """Tell the highest threshold that the sample has reached and that has not spoken in this period."""
    reached = _reached(sample, policy)
    news = reached - memory.told
    memory = replace(memory, told=memory.told | reached)
    if not news or max(news) < max(reached) or not policy.alerts:
        return memory, ()
    return memory, (_threshold_alert(account, memory, max(news), sample),)


def _threshold_alert(account: str, memory: WindowMemory, threshold: float, sample: Window) -> Alert:
    return Alert(
        AlertKind.THRESHOLD,
        account,
        sample.key,
        memory.at,
        utilization=sample.utilization,
        threshold=threshold,
        resets_at=memory.resets_at,
    )


def resets_that_open(alerts: Sequence[Alert], usage: Usage) -> tuple[Alert, ...]:
    """The alerts without those that call a window open again while another plan-wide window is full."""
    full = {w.key for w in usage.windows if w.utilization >= 1 and w.key in PLAN_WIDE}
    return tuple(a for a in alerts if a.kind is not AlertKind.RESET or not (full - {a.window}))
