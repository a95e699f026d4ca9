"""`make backtest`: our forecasts beside naive ones, on given weeks and on simulated users. The last line is JSON."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from monitor.core.profiles import Sample
from tools.backtest import costs, needs, pools, scores
from tools.backtest.looks import FIVE_HOURLY, WEEKLY, Outcome, Rhythm, looks
from tools.backtest.methods import FIVE_HOURS_NAIVE, WEEK_NAIVE, Method
from tools.backtest.users import FIVE_HOURS, WEEK, Track, five_hour_users, week_users

GIVEN: Final = Path(__file__).parents[1] / "data" / "one-account-7d.csv"
ACCOUNT_WEEKS: Final = 1000
STEPPED_ACCOUNTS: Final = 60


def read_tracks(path: Path) -> list[Track]:
    """The windows of a file in the format of `monitor history --csv`, one track per account and window."""
    found: dict[tuple[str, str], list[Sample]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            resets_at = datetime.fromisoformat(row["resets_at"]) if row["resets_at"] else None
            sample = Sample(datetime.fromisoformat(row["at"]), float(row["utilization"]), resets_at)
            found.setdefault((row["account"], row["window"]), []).append(sample)
    return [
        Track(account, window, tuple(sorted(samples, key=lambda sample: sample.at)))
        for (account, window), samples in found.items()
    ]


def outcomes(
    tracks: Iterable[Track],
    duration: timedelta,
    rhythm: Rhythm,
    naive: Mapping[str, Method],
    since: datetime | None = None,
) -> list[Outcome]:
    return [o for track in tracks for o in looks(track, duration, rhythm, naive, since)]


def report(title: str, found: Sequence[Outcome], naive: Mapping[str, Method]) -> dict[str, Any]:
    """Print the tables of one set of data; its part of the document."""
    print(f"\n{title}")
    if not found:
        print("  no looks of which the outcome is known")
        return {"ours": {"looks": 0}, "naive": {}}
    figures = {name: scores.figures(found, name) for name in ("ours", *naive)}
    print(f"  {len(found)} looks at {len({o.group for o in found})} periods")
    print(
        f"  {'method':20}{'error':>8}{'if full':>9}{'Brier':>8}{'false':>7}{'missed':>8}{'flips':>7}"
    )
    for name, row in figures.items():
        print(
            f"  {name:20}{_hours(row['median_error_minutes']):>8}"
            f"{_hours(row['median_error_when_full_minutes']):>9}{row['brier']:>8.3f}"
            f"{row['false']:>7}{row['missed']:>8}{row['flips']:>7}"
        )
    ours = figures["ours"]
    ours.update(scores.interval(found))
    ours["flips_of_alert"] = scores.flips_of_alert(found)
    ours["intervals_over_periods"] = scores.bootstrap(found)
    for key, (low, high) in ours["intervals_over_periods"].items():
        print(f"  {key}: 95 % of resampled sets of periods between {low} and {high}")
    print(
        f"  the 80 % interval covers {ours['interval_coverage']:.3f}, is "
        f"{ours['interval_width_hours']} h wide in the middle; {ours['ms']} ms a forecast"
    )
    print(f"  the alert turns {ours['flips_of_alert']} times after it fired")
    ours["reliability"] = scores.reliability(
        [(o.answers["ours"].probability, o.full_at is not None) for o in found]
    )
    print_reliability("runs out", ours["reliability"])
    return {"ours": ours, "naive": {name: figures[name] for name in naive}}


def print_reliability(title: str, table: Sequence[Mapping[str, float]]) -> None:
    print(f"  {title}: said → was (looks)")
    print(
        "   "
        + "  ".join(f"{row['said']:.2f} → {row['was']:.2f} ({row['looks']:.0f})" for row in table)
    )


def _hours(minutes: int | None) -> str:
    return "–" if minutes is None else f"{minutes / 60:.1f} h"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make backtest", description=__doc__)
    parser.add_argument("--data", type=Path, default=GIVEN, help="CSV of `monitor history --csv`")
    parser.add_argument(
        "--score-since", type=_instant, help="score looks from this date on; all before is known"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only-given", action="store_true", help="leave the simulated users out")
    options = parser.parse_args(arguments)
    document: dict[str, Any] = {}
    tracks = read_tracks(options.data)
    week_tracks = [track for track in tracks if track.window.startswith("7d")]
    found = outcomes(week_tracks, WEEK, WEEKLY, WEEK_NAIVE, options.score_since)
    document["given"] = report(f"given: {options.data.name}, 7-day windows", found, WEEK_NAIVE)
    if short := [track for track in tracks if track.window == "5h"]:
        found = outcomes(short, FIVE_HOURS, FIVE_HOURLY, FIVE_HOURS_NAIVE, options.score_since)
        title = f"given: {options.data.name}, 5-hour windows"
        document["given_5h"] = report(title, found, FIVE_HOURS_NAIVE)
    if not options.only_given:
        document.update(simulated(options.seed))
    print(json.dumps(document))
    return 0


def simulated(seed: int) -> dict[str, Any]:
    """The parts of the document that need no data."""
    document: dict[str, Any] = {}
    found = outcomes(week_users(seed), WEEK, WEEKLY, WEEK_NAIVE)
    document["simulated"] = report("simulated: 7-day windows", found, WEEK_NAIVE)
    users = five_hour_users(seed)
    found = outcomes(users, FIVE_HOURS, FIVE_HOURLY, FIVE_HOURS_NAIVE)
    document["simulated_5h"] = report("simulated: 5-hour windows", found, FIVE_HOURS_NAIVE)
    document["need"] = needs.report(users)
    document["limit_changed"] = costs.report(seed, ACCOUNT_WEEKS, STEPPED_ACCOUNTS)
    document["exhausted_soon"] = pools.report(seed)
    return document


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
