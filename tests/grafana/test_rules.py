"""The recording and alerting rules: promtool's lints, and a unit test of each alert."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.exporters.contract import CONTRACT
from tests.grafana.conftest import GRAFANA
from tests.real.need import need
from tools.pictures.backfill import PLACE, SUFFIXES, World

RULES = [GRAFANA / "prometheus/recording.yml", GRAFANA / "prometheus/alerts.yml"]
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES[1].read_text())["groups"][0]["rules"]
TESTS = sorted((GRAFANA / "prometheus/tests").glob("*.yml"))
WORLD = list(World(1).families())
EXPECTED = [
    "AccountExhausted",
    "AllExhausted",
    "NearLimit",
    "RunsOutEarly",
    "AccountUnreadable",
    "LoginRequired",
    "LoginExpires",
    "DataStale",
    "RateLimited",
    "BudgetNearlyUsed",
    "WatchedTwice",
    "NotificationsFailing",
    "ReloadFailed",
    "ExporterDown",
    "LimitChanged",
]


def promtool(*argv: str | Path) -> str:
    need("promtool")
    done = subprocess.run(["promtool", *map(str, argv)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_them_with_all_its_lints() -> None:
    printed = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert f"SUCCESS: {len(EXPECTED)} rules found" in printed


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.stem))
def test_alert_fires_holds_resolves_and_is_silent_otherwise(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


def test_every_alert_has_a_test_of_each_kind() -> None:
    assert [alert["alert"] for alert in ALERTS] == EXPECTED
    assert sorted(EXPECTED) == [path.stem for path in TESTS]
    for path in TESTS:
        names = [test["name"] for test in yaml.safe_load(path.read_text())["tests"]]
        assert names[:3] == [
            "fires, holds through a dropped series, resolves",
            "silent at a reset",
            "silent after a restart",
        ]


def test_the_tests_of_alerts_can_fail(tmp_path: Path) -> None:
    broken = RULES[1].read_text().replace("keep_firing_for: 5m", "keep_firing_for: 0s")
    (tmp_path / "alerts.yml").write_text(broken)
    (tmp_path / "recording.yml").write_text(RULES[0].read_text())
    test = GRAFANA / "prometheus/tests/LoginRequired.yml"
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/LoginRequired.yml").write_text(test.read_text())
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", tmp_path / "tests/LoginRequired.yml")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_every_alert_is_complete(alert: dict[str, Any]) -> None:
    assert alert["keep_firing_for"]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["description"].endswith((".", "{{ end }}"))
    assert alert["annotations"]["runbook_url"] == f"grafana/RUNBOOKS.md#{alert['alert'].lower()}"


def test_rules_read_only_metrics_that_are_exported_or_recorded() -> None:
    exported = {name for name, _ in CONTRACT}
    text = "\n".join(path.read_text() for path in RULES)
    recorded = set(re.findall(r"record: (\S+)", text))
    read = set()
    for expr in re.findall(r"expr: (?:\|\n((?: {10,}.*\n)+)|(.*))", text):
        read |= set(re.findall(r"[a-z_]*:?claude_usage_\w+(?::\w+)?", "".join(expr)))
    assert read
    assert read <= exported | recorded


def test_dashboards_read_only_metrics_that_are_exported_or_recorded() -> None:
    exported = {name for name, _ in CONTRACT}
    recorded = set(re.findall(r"record: (\S+)", RULES[0].read_text()))
    read = set()
    for path in (GRAFANA / "dashboards").glob("*.json"):
        for expr in re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', path.read_text()):
            read |= set(re.findall(r"[a-z_]*:?claude_usage_\w+(?::\w+)?", expr))
    assert read
    assert read <= exported | recorded


def test_invented_metrics_have_the_names_and_labels_of_the_public_interface() -> None:
    public = {name: labels for (name, _), labels in CONTRACT.items()}
    invented = {
        family.name + SUFFIXES.get(family.type, ""): set(series[0][0]) - set(PLACE)
        for family, series in WORLD
    }
    ours = {name: labels for name, labels in invented.items() if name.startswith("claude_usage_")}
    assert ours
    assert ours == {name: public.get(name) for name in ours}


def test_alertmanager_sends_only_the_reason() -> None:
    need("amtool")
    config = GRAFANA / "alertmanager/alertmanager.yml"
    done = subprocess.run(["amtool", "check-config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    inhibited = yaml.safe_load(config.read_text())["inhibit_rules"]
    named = set(re.findall(r"[A-Z]\w+", str([list(rule.values())[:2] for rule in inhibited])))
    assert named <= set(EXPECTED)
