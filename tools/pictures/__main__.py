"""`python -m tools.pictures`: draws the table, and dashboards from a real Prometheus; fails where one has a problem.

The last line is JSON: for each picture its file, its number of panels, and its problems.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from tools.pictures.backfill import END, NAMES
from tools.pictures.drawing import Picture, draw
from tools.pictures.screens import draw_screens
from tools.pictures.store import query, run_prometheus

ROOT = Path(__file__).parents[2]
DASHBOARDS = ("overview", "account", "exporter")


def main() -> int:
    options = _options()
    pictures = []
    screens = draw_screens(options.output, options.themes) if not options.no_screens else ()
    for picture in chain(screens, draw_dashboards(options)):
        pictures.append(picture)
        print(
            f"{picture.file}: {picture.panels} panels, {len(picture.problems)} problems", flush=True
        )
    print(json.dumps({"pictures": [asdict(picture) for picture in pictures]}))
    return int(not pictures or any(picture.problems for picture in pictures))


def draw_dashboards(options: argparse.Namespace) -> Iterator[Picture]:
    """Every dashboard for every number of accounts in every theme."""
    for count in options.accounts if options.dashboards else ():
        with (
            tempfile.TemporaryDirectory() as folder,
            run_prometheus(Path(folder), count) as prometheus,
        ):
            account = _account_in_use(prometheus)
            for name in options.dashboards:
                for theme in options.themes:
                    source = ROOT / "grafana/dashboards" / f"{name}.json"
                    target = options.output / f"{name}-{count:02}-{theme}.png"
                    yield draw(source, prometheus, theme, account, target)


def _account_in_use(prometheus: str) -> str:
    """The account that the dashboards choose at first."""
    answer = query(prometheus, "claude_usage_logged_in == 1", END.timestamp())
    in_use: list[str] = [series["metric"]["account"] for series in answer["data"]["result"]]
    return min(in_use, key=NAMES.index)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("--no-screens", action="store_true", help="draw the dashboards alone")
    parser.add_argument("--dashboards", nargs="*", choices=DASHBOARDS, default=DASHBOARDS)
    parser.add_argument(
        "--accounts", nargs="+", type=int, choices=range(1, 31), metavar="1..30", default=[1, 5, 30]
    )
    parser.add_argument("--themes", nargs="+", choices=("dark", "light"), default=["dark", "light"])
    parser.add_argument("--output", type=Path, default=Path("build/pictures"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
