"""Judges what was told of weeks that ended: true, once, and not missed. It knows no code of the program.

True is a week that ended at its time, and was told after its end by the figure and the end of the last answer before
it, of its last day: an honest one, or one by which a lagging server named the week's final figure to a clock that had
not come to the end. Owed is one that was read within its last day, with room left, by a right clock, and at last with
its own end (with another, its end is rightly taken for an early reset), and whose successor was then seen for a while
without a fault.
"""

from collections import Counter
from collections.abc import Iterator

from tools.simulate.record import DAY, HOUR, MINUTE, SEVEN_DAYS, Entry, Log, Told
from tools.simulate.truth import Account, Period

SAME_END = 2 * MINUTE
SAME_PERCENT = 0.05
CLOCK_RIGHT = MINUTE
WATCHED_FOR = 2 * HOUR
"""So long the successor is seen: alerts of weeks wait for one another for some minutes, polls for longer."""


def judge_weeks(account: Account, log: Log) -> Counter[str]:
    """How many weeks were told, owed, false, double and missed."""
    counts = Counter[str]()
    window = account.windows.get(SEVEN_DAYS)
    if window is None:
        return counts
    told = set[int]()
    for place, alert in log.weeks:
        entry = log.entries[place]
        meant = [p for p in window.periods if _is_meant(p, alert, entry, log, account.decimals)]
        counts["told"] += 1
        counts["false"] += not meant
        counts["double"] += any(period.id in told for period in meant)
        told |= {period.id for period in meant}
    for period in window.periods:
        if _is_owed(period, log):
            counts["owed"] += 1
            counts["missed"] += period.id not in told
    return counts


def _is_meant(period: Period, alert: Told, entry: Entry, log: Log, decimals: int) -> bool:
    """Whether the alert says what an answer before the end said; a schedule moved unseen has another end."""
    honest = (e for e in _of_week(log) if e.seen[SEVEN_DAYS].honest)
    before = [e for e in honest if max(e.t, e.at) < period.over_at]
    if not before or period.early or entry.t < period.over_at - MINUTE:
        return False
    lagging = [e for e in _of_week(log) if e.t <= entry.t and _is_final(e, period, decimals)]
    return any(_says(answer, alert) for answer in before[-1:] + lagging[-1:])


def _says(answer: Entry, alert: Told) -> bool:
    seen = answer.seen[SEVEN_DAYS]
    if seen.end is None or alert.end is None or alert.percent is None:
        return False
    is_recent = seen.end - answer.t <= DAY + MINUTE
    is_same = abs(seen.end - alert.end) <= SAME_END
    return is_recent and is_same and abs(seen.percent - alert.percent) < SAME_PERCENT


def _is_final(entry: Entry, period: Period, decimals: int) -> bool:
    """Whether a server that lags behind the end named what the week ended with, and the clock stood before it."""
    seen = entry.seen[SEVEN_DAYS]
    is_lagging = not seen.honest and entry.at < period.over_at <= entry.t
    return is_lagging and 0 <= period.values[-1] - seen.percent < 10.0**-decimals


def _is_owed(period: Period, log: Log) -> bool:
    """Whether somebody who saw these answers could not but know what had expired."""
    over_at = period.over_at
    if period.early or period.values[-1] >= 98:
        return False
    before = [e for e in _of_week(log) if over_at - DAY + HOUR <= e.t < over_at - SAME_END][-3:]
    after = [e for e in _of_week(log) if over_at + SAME_END <= e.t <= over_at + DAY + WATCHED_FOR]
    if len(before) < 3 or not after or after[-1].t - after[0].t < WATCHED_FOR:
        return False
    ends = {e.seen[SEVEN_DAYS].end for e in after}
    stays = all(end is None or end - over_at >= 7 * DAY - SAME_END for end in ends)
    old = all(e.seen[SEVEN_DAYS].place == period.id for e in before)
    last_end = before[-1].seen[SEVEN_DAYS].end
    is_due = last_end is not None and abs(last_end - over_at) <= SAME_END
    new = all(e.seen[SEVEN_DAYS].place != period.id for e in after)
    fair = all(_is_fair(e) for e in log.entries if before[0].t <= e.t <= after[-1].t)
    return stays and old and is_due and new and fair


def _of_week(log: Log) -> Iterator[Entry]:
    return (entry for entry in log.entries if SEVEN_DAYS in entry.seen and not entry.late)


def _is_fair(entry: Entry) -> bool:
    week = entry.seen.get(SEVEN_DAYS)
    return abs(entry.at - entry.t) <= CLOCK_RIGHT and (week is None or week.honest)
