"""The graph of one window: usage in steps, an even pace in grey, the forecast as a fan; and what is marked in it."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, FieldColorModeId

from tools.dashboards import panels
from tools.dashboards.panels import BLUE, GREY, SOURCE, over_time, override
from tools.dashboards.queries import fan, metric, pace, per_account, per_window


def utilization(window: str, chosen: str, *models: str) -> TimeSeries:
    """A window of one account; `models` are further windows, such as a model's week, drawn beside it."""
    matcher = f'window="{window}"'
    queries = [
        over_time(per_account("utilization_ratio", matcher, chosen=chosen), "used", "A"),
        over_time(pace(matcher, chosen), "even pace", "B"),
    ]
    for ref, percentile, name in (
        ("C", "10", "early"),
        ("D", "50", "forecast"),
        ("E", "90", "late"),
    ):
        queries.append(over_time(fan(matcher, chosen, percentile), name, ref))
    for index, pattern in enumerate(models):
        more = per_window("utilization_ratio", f'window=~"{pattern}"', chosen=chosen)
        queries.append(over_time(more, "{{window}}", chr(ord("F") + index)))
    panel = (
        panels.graph("percentunit", *queries)
        .min(0)
        .max(1)
        .decimals(0)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
    )
    _color(panel, "used", BLUE, custom__fillOpacity=18)
    _color(panel, "even pace", panels.GREY, custom__lineInterpolation="linear")
    panel.override_by_regexp(
        "7d_.+", [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "#B877D9"})]
    )
    ray = {"custom__lineInterpolation": "linear", "custom__lineWidth": 0}
    _color(
        panel,
        "early",
        FAN,
        **ray,
        custom__hideFrom=HIDDEN,
        custom__fillBelowTo="late",
        custom__fillOpacity=28,
    )
    _color(panel, "late", FAN, **ray, custom__hideFrom=HIDDEN)
    _color(
        panel,
        "forecast",
        FAN,
        custom__lineInterpolation="linear",
        custom__lineStyle={"fill": "dash", "dash": [6, 6]},
    )
    return panel


FAN = "#FF9830"
HIDDEN = {"legend": True, "tooltip": False, "viz": False}


def _color(panel: TimeSeries, name: str, color: str, **more: object) -> None:
    override(panel, name, color={"mode": FieldColorModeId.FIXED, "fixedColor": color}, **more)


def reset_annotation(chosen: str, panel_ids: list[int]) -> build.AnnotationQuery:
    """A mark where a window's usage has fallen to less than half."""
    windows = 'window=~"5h|7d"'
    usage = per_window("utilization_ratio", windows, chosen=chosen)
    before = f"max by (account, window) ({metric('utilization_ratio', windows, chosen)} offset 5m)"
    fell = f"({usage} < 0.5 * {before}) and {before} >= 0.1"
    return _annotation("Resets", GREY, fell, "{{window}} reset", panel_ids)


def alert_annotation(account: str, panel_ids: list[int]) -> build.AnnotationQuery:
    fires = f'ALERTS{{alertstate="firing", account=~"{account}|"}}'
    expr = f"max by (alertname, account, window) ({fires})"
    return _annotation("Alerts", "red", expr, "{{alertname}} {{window}}", panel_ids)


def _annotation(
    name: str, color: str, expr: str, title: str, panel_ids: list[int]
) -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(color)
        .expr(expr)
        .step("60s")
        .title_format(title)
        .filter(build.AnnotationPanelFilter().exclude(False).ids(panel_ids))
    )
