"""Does the task fit? `guard --need`, asked of simulated users whose windows are known better than in whole percents."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from monitor.core.forecast import fits, run_out
from monitor.core.profiles import Activity, learn
from tools.backtest import scores
from tools.backtest.users import FIVE_HOURS, Track

NEEDS: Final = (5.0, 15.0, 30.0, 50.0)
EVERY: Final = 6  # samples: half an hour
CONFIDENCES: Final = (0.5, 0.8, 0.9, 0.95)


def report(users: Sequence[Track]) -> dict[str, Any]:
    """Print the table "said 80 %, held N %"; its part of the document."""
    asked = [pair for track in users for pair in ask(track)]
    print("\nguard --need: tasks of 5, 15, 30 and 50 points beside a simulated user's own work")
    table = scores.reliability(asked)
    for row in table:
        print(f"  said {row['said']:.0%}, held {row['was']:.0%} ({row['looks']} questions)")
    confident = {}
    for confidence in CONFIDENCES:
        yes = [held for said, held in asked if said >= confidence]
        confident[f"{confidence:.2f}"] = {"yes": len(yes), "held": round(scores.mean(yes), 4)}
        print(f"  --confidence {confidence:.0%}: {len(yes)} times yes, {scores.mean(yes):.1%} held")
    return {"questions": len(asked), "reliability": table, "confidence": confident}


def ask(track: Track) -> list[tuple[float, bool]]:
    """(probability said, whether it held) of each question at the track, while a window is open and not full."""
    answers = []
    learned: Activity | None = None
    for index in range(0, len(track.samples), EVERY):
        sample = track.samples[index]
        if sample.resets_at is None or sample.utilization >= 1:
            continue
        if learned is None or sample.at - track.samples[index - EVERY].at > timedelta(hours=2):
            found = learn(track.samples, sample.at, FIVE_HOURS)
            learned = found if isinstance(found, Activity) else None
        if learned is None:
            continue
        window = run_out(track.samples, sample.at, FIVE_HOURS, learned)
        if window is None:
            continue
        for need in NEEDS:
            lasting = max(timedelta(hours=need / learned.points_per_hour), timedelta(minutes=15))
            if need < window.need:
                said = fits([(window, need)], lasting)
                answers.append((said, holds(track, index, need, lasting)))
    return answers


def holds(track: Track, index: int, need: float, lasting: timedelta) -> bool:
    """Whether the task is done before the window is full, or reaches its reset."""
    start = track.samples[index]
    for sample, level in zip(track.samples[index:], track.levels[index:], strict=True):
        if start.resets_at is not None and sample.at >= start.resets_at:
            return True
        share = min((sample.at - start.at) / lasting, 1.0)
        if level + need * share >= 100:
            return False
        if share >= 1:
            return True
    return True
