"""A dashboard is drawn in a real Chromium, and what is wrong with one is found."""

import json
from pathlib import Path

import pytest

from tests.grafana.conftest import GRAFANA
from tests.real.need import need
from tools.pictures.drawing import draw


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The overview with a query without answer, one that is none, a tall legend in a low panel, and a tiny text."""
    board = json.loads((GRAFANA / "dashboards/overview.json").read_text())
    panels = {panel["title"]: panel for panel in board["panels"]}
    panels["With room"]["targets"][0]["expr"] = "no_such_metric"
    panels["Full"]["targets"][0]["expr"] = "sum("
    low = panels["Accounts by state, 7 days"]
    low["gridPos"]["h"] = 4
    low["options"]["legend"]["displayMode"] = "table"
    panels["Need you"]["options"]["text"] = {"valueSize": 7}
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(board))
    return path


def test_a_dashboard_is_drawn_without_a_problem(days: str, tmp_path: Path) -> None:
    need("chromium", "node", "npm")
    picture = draw(GRAFANA / "dashboards/overview.json", days, "dark", "work", tmp_path / "one.png")
    assert picture.problems == []
    assert picture.panels == 12
    assert (tmp_path / "one.png").stat().st_size > 50_000


def test_what_is_wrong_with_a_dashboard_is_found(days: str, broken: Path, tmp_path: Path) -> None:
    need("chromium", "node", "npm")
    picture = draw(broken, days, "light", "work", tmp_path / "broken.png")
    found = {problem["panel"]: problem["problem"] for problem in picture.problems}
    assert found["With room"] == "No data"
    assert found["Accounts by state, 7 days"] == "its legend needs more than a third of the panel"
    assert "parse error" in found["Full"]
    assert found["Need you"].endswith("px high")
