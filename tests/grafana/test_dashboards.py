"""The dashboards: the generator's output, the rules of dashboard-linter, and each query on a real Prometheus."""

import json
import re
import urllib.parse
import urllib.request
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from tests.grafana.conftest import GRAFANA
from tools.dashboards.__main__ import render
from tools.dashboards.runbooks import sections
from tools.pictures.backfill import END, SUFFIXES, World

NAMES = ("overview", "account", "exporter", "runbooks")
BOARDS: dict[str, dict[str, Any]] = {
    name: json.loads((GRAFANA / f"dashboards/{name}.json").read_text(encoding="utf-8"))
    for name in NAMES
}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
]
TARGETS = [
    pytest.param(target, id=f"{name}: {panel['title']}, {target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", [])
]
VARIABLES = [
    pytest.param(variable, id=f"{name}: {variable['name']}")
    for name, board in BOARDS.items()
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']}, {target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", [])
]
ANNOTATIONS = [
    pytest.param(annotation["expr"], id=f"{name}: {annotation['name']}")
    for name, board in BOARDS.items()
    for annotation in board["annotations"].get("list", [])
]
UNITS = {"percentunit", "s", "short", "none", "bytes", "string", "dateTimeFromNow"}
NOW = END.timestamp()
KNOWN = {f.name + SUFFIXES.get(f.type, "") for f, _ in World(2).families()}
FUTURE = 1.5 * 3600
"""Within this time after now the forecast of the account in use is drawn."""


def test_the_committed_dashboards_are_those_of_the_generator() -> None:
    rendered = render()
    assert set(rendered) == {f"{name}.json" for name in NAMES}
    for name, text in rendered.items():
        committed = (GRAFANA / "dashboards" / name).read_text(encoding="utf-8")
        assert committed == text, f"{name} differs: run python -m tools.dashboards"


@pytest.mark.parametrize("target", TARGETS)
def test_every_query_has_an_answer_without_warnings(target: dict[str, Any], days: str) -> None:
    answers = (
        ask_range(days, target["expr"], NOW + FUTURE, 7 * 86400, account)
        if target.get("range")
        else ask(days, "query", query=substituted(target["expr"], account), time=NOW)
        for account in ("work", "home")  # work has used money, home has a forecast of its week
    )
    answer = next(one for one in answers if one["data"]["result"])
    assert not answer.get("warnings")
    assert not answer.get("infos")


@pytest.mark.parametrize("expr", ANNOTATIONS)
def test_every_annotation_has_an_answer(expr: str, days: str) -> None:
    assert ask_range(days, expr, NOW, 7 * 86400)["data"]["result"]


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_has_values(variable: dict[str, Any], days: str) -> None:
    query = variable["query"]["query"]
    if asked := re.fullmatch(r"query_result\((.+)\)", query):
        answer = ask(days, "query", query=substituted(asked[1]), time=NOW)
        first = answer["data"]["result"][0]
        assert float(first["value"][1]) == 1  # the account in use stands first, and so is chosen
    else:
        parsed = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert parsed
        match = {"match[]": substituted(parsed[1])}
        span = {"start": NOW - 3600, "end": NOW}
        assert ask(days, f"label/{parsed[2]}/values", **match, **span)["data"]


def test_the_forecast_ends_where_the_window_is_full(days: str) -> None:
    (panel,) = [p for p in BOARDS["overview"]["panels"] if p["title"].startswith("5h window")]

    def value(expr: str, at: float) -> float:
        (series,) = ask(days, "query", query=substituted(expr), time=at)["data"]["result"]
        return float(series["value"][1])

    early, likely, late = (panel["targets"][n]["expr"] for n in (2, 3, 4))
    soon = NOW + 900
    assert value(early, soon) > value(likely, soon) > value(late, soon) > 0.5
    for expr, percentile in ((early, "10"), (likely, "50")):
        labels = f'account="work",window="5h",percentile="{percentile}"'
        full_at = value(f"claude_usage_full_timestamp_seconds{{{labels}}}", NOW)
        assert 0.9 < value(expr, full_at - 300) < 1
        assert value(expr, full_at + 60) == 1


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_every_query_asks_for_known_metrics_of_the_chosen_job_and_instance(expr: str) -> None:
    for name, matchers in re.findall(r"((?:claude_usage|process|scrape)_\w+)(\{[^}]*\})?", expr):
        assert name in KNOWN
        assert 'job=~"$job"' in matchers
        assert 'instance=~"$instance"' in matchers


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_counters_are_shown_as_growth_over_the_interval_of_the_graph(expr: str) -> None:
    counters = re.findall(r"\w+_total\{", expr)
    grown = re.findall(r"increase\(\w+_total\{[^}]*\}\[\$__interval\]\)", expr)
    rates = re.findall(r"rate\(\w+_total\{[^}]*\}\[\$__rate_interval\]\)", expr)
    assert len(counters) == len(grown) + len(rates)


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_two_monitors_of_one_account_never_double_it(expr: str) -> None:
    of_accounts = r"claude_usage_(?:utilization|reset|run_out|full|up|login|last_success)\w*\{"
    for before in re.split(of_accounts, expr)[:-1]:
        aggregations = re.findall(r"\b(sum|avg|count|max|min) (?:by \([^)]*\) )?\(", before)
        assert aggregations[-1] in {"max", "min"} or "count by (instance)" in before


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_is_complete(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    if panel["type"] == "text":
        return
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    if panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_overlap(name: str) -> None:
    places = [panel["gridPos"] for panel in BOARDS[name]["panels"]]
    for a, b in combinations(places, 2):
        apart_across = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_down = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_across or apart_down, (a, b)
    assert all(place["x"] + place["w"] <= 24 for place in places)


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported_and_provisioned(name: str) -> None:
    board = BOARDS[name]
    assert "id" not in board
    assert board["uid"] == f"claude-tracker-{name}"
    assert board["editable"] is False
    assert "__inputs" not in board
    assert set(Counter(panel["id"] for panel in board["panels"]).values()) == {1}
    source = board["templating"]["list"][0]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )


def test_links_lead_to_dashboards_that_exist() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    linked = set(re.findall(r"/d/([\w-]+)", json.dumps(BOARDS)))
    assert linked
    assert linked <= uids
    for board in BOARDS.values():
        assert board["links"][0]["tags"] == board["tags"] == ["claude-tracker"]


def test_annotations_stand_in_the_graphs_of_usage() -> None:
    for name in ("overview", "account"):
        titles = {panel["id"]: panel["title"] for panel in BOARDS[name]["panels"]}
        for annotation in BOARDS[name]["annotations"]["list"]:
            assert all("window" in titles[number] for number in annotation["filter"]["ids"])


def test_the_readme_lists_every_alert_with_its_severity() -> None:
    rules = (GRAFANA / "prometheus/alerts.yml").read_text()
    known = re.findall(r"alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", rules)
    readme = (GRAFANA / "README.md").read_text()
    assert re.findall(r"^\| ([A-Z]\w+) \| .* \| (\w+) \|$", readme, re.MULTILINE) == known


def test_there_is_a_runbook_for_every_alert() -> None:
    alerts = re.findall(r"alert: (\w+)", (GRAFANA / "prometheus/alerts.yml").read_text())
    assert [name for name, _ in sections()] == alerts
    assert [panel["title"] for panel in BOARDS["runbooks"]["panels"]] == alerts


def substituted(expr: str, account: str = "work") -> str:
    """The query as Grafana sends it with everything chosen; `account` where only one can be."""
    for name, value in (("focus", account), ("job", ".+"), ("instance", ".+")):
        expr = expr.replace(f"${name}", value)
    expr = expr.replace('account="$account"', f'account="{account}"').replace("$account", ".+")
    expr = expr.replace("$__rate_interval", "16m").replace("$__interval", "6h")
    assert not re.search(r"\$[a-z_{]", expr)
    return expr


def ask(url: str, path: str, **parameters: object) -> dict[str, Any]:
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    assert answer["status"] == "success"
    return answer


def ask_range(
    url: str, expr: str, end: float, span: float, account: str = "work"
) -> dict[str, Any]:
    query = substituted(expr, account)
    return ask(url, "query_range", query=query, start=end - span, end=end, step=1800)
