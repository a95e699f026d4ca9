"""`python -m tools.dashboards`: writes the dashboards to grafana/dashboards."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.account import account
from tools.dashboards.exporter import exporter
from tools.dashboards.overview import overview
from tools.dashboards.runbooks import runbooks

MENU = "inControlsMenu"
FOLDER = Path(__file__).parents[2] / "grafana/dashboards"


def render() -> dict[str, str]:
    """The text of each file by its name."""
    built = {
        "overview": overview(),
        "account": account(),
        "exporter": exporter(),
        "runbooks": runbooks(),
    }
    return {
        f"{name}.json": json.dumps(_plain(board.build()), indent=2, ensure_ascii=False) + "\n"
        for name, board in built.items()
    }


def _plain(board: Dashboard) -> object:
    """The dashboard as plain JSON, its links and annotations in the open: not in the menu of newer Grafanas."""
    return json.loads(
        json.dumps(board, cls=JSONEncoder),
        object_hook=lambda one: {k: v for k, v in one.items() if (k, v) != ("placement", MENU)},
    )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in render().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
