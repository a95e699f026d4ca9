"""The dashboard: its rules (those of Grafana's dashboard-linter), and each of its queries on a real Prometheus."""

import json
import re
import subprocess
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.exporters.contract import CONTRACT
from tests.real.need import need
from tests.real.prometheus import Prometheus

GRAFANA = Path(__file__).parents[2] / "grafana"

DASHBOARD = json.loads((GRAFANA / "dashboards/claude-usage.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
TARGETS = [
    pytest.param(target["expr"], id=f"{panel['title']}, {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
VARIABLES: dict[str, dict[str, Any]] = {v["name"]: v for v in DASHBOARD["templating"]["list"]}
QUERY_VARIABLES = [v for v in VARIABLES.values() if v["type"] == "query"]

UNITS = {"percentunit", "s", "short", "bool_yes_no"}


@pytest.mark.parametrize("expr", TARGETS)
def test_every_query_has_an_answer_without_warnings(expr: str, scraped: Prometheus) -> None:
    answer = scraped.ask("query", query=substituted(expr))
    assert answer["data"]["result"]
    assert not answer.get("warnings")
    assert not answer.get("infos")


@pytest.mark.parametrize("variable", QUERY_VARIABLES, ids=lambda v: str(v["name"]))
def test_every_variable_has_values(variable: dict[str, Any], scraped: Prometheus) -> None:
    parsed = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert parsed
    values = scraped.ask(f"label/{parsed[2]}/values", **{"match[]": substituted(parsed[1])})
    assert values["data"]
    assert not values.get("warnings")


@pytest.mark.parametrize("expr", TARGETS)
def test_every_query_asks_for_our_metrics_of_the_chosen_job_and_instance(expr: str) -> None:
    for name, matchers in re.findall(r"(claude_usage_\w+)(\{[^}]*\})?", expr):
        assert name in {metric for metric, _ in CONTRACT}
        assert 'job=~"$job"' in matchers
        assert 'instance=~"$instance"' in matchers


@pytest.mark.parametrize("expr", TARGETS)
def test_counters_are_shown_as_increases_over_the_interval_of_the_graph(expr: str) -> None:
    counters = re.findall(r"claude_usage_\w+_total", expr)
    assert len(counters) == len(
        re.findall(r"increase\(\w+_total\{[^}]*\}\[\$__rate_interval\]\)", expr)
    )


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: str(p["title"]))
def test_every_panel_is_complete(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]
    sources = [panel["datasource"], *(t["datasource"] for t in panel["targets"])]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    if panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for a, b in combinations(places, 2):
        apart_across = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_down = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_across or apart_down, (a, b)
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_panel_ids_are_unique() -> None:
    assert set(Counter(panel["id"] for panel in DASHBOARD["panels"]).values()) == {1}


def test_it_can_be_imported_and_provisioned() -> None:
    assert DASHBOARD["id"] is None
    assert DASHBOARD["uid"] == "claude-usage"
    assert DASHBOARD["editable"] is False
    assert "__inputs" not in DASHBOARD


def test_the_data_source_is_chosen_in_the_dashboard() -> None:
    source = VARIABLES["datasource"]
    assert (source["type"], source["query"], source["label"]) == (
        "datasource",
        "prometheus",
        "Data source",
    )


def test_the_other_variables_choose_any_number_and_follow_the_time_range() -> None:
    assert [v["name"] for v in QUERY_VARIABLES] == ["job", "instance", "account"]
    for variable in QUERY_VARIABLES:
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["label"] == variable["name"].capitalize()
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (
            True,
            True,
            ".+",
        )
        assert variable["refresh"] == 2


def test_promtool_accepts_the_scrape_config() -> None:
    need("promtool")
    config = GRAFANA / "prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"127.0.0.1:15707"' in config.read_text()


def test_the_dashboard_goes_where_grafana_is_told_to_look() -> None:
    provider = (GRAFANA / "provisioning/dashboards/claude-tracker.yaml").read_text()
    path = re.search(r"path: (\S+)", provider)
    assert path
    assert f"{path[1]}/claude-usage.json" in (GRAFANA / "README.md").read_text()


def substituted(expr: str) -> str:
    """The query as Grafana sends it with everything chosen."""
    chosen = {
        "$__rate_interval": "1m",
        **{f"${v['name']}": v["allValue"] for v in QUERY_VARIABLES},
    }
    for name, value in chosen.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr
