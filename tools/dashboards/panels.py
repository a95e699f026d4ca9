"""Panels and dashboards as this project makes them: one data source variable, one look, its own units and mappings."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.text import Panel as Text
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DashboardRegexMapOptions,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    MatcherConfig,
    RegexMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.dashboards.queries import PLACE, REQUESTS_TOLERATED, STATES

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, ORANGE, RED, GREY, BLUE = "green", "orange", "red", "#8e8e8e", "#5794F2"
USED_STEPS: Final = ((None, GREEN), (0.8, ORANGE), (0.95, RED))
STATE_COLORS: Final = (GREEN, ORANGE, RED, "#B877D9", "#B877D9")


def _regex(pattern: str, text: str) -> RegexMap:
    return RegexMap(DashboardRegexMapOptions(pattern, ValueMappingResult(text=text)))


HOURS_MINUTES: Final[list[ValueMapping]] = [
    _regex(r"/^1000?(\d{1,2})$/", "$1m"),
    _regex(r"/^10?(\d{1,2})(\d\d)$/", "$1h $2m"),
]
DAYS_HOURS: Final[list[ValueMapping]] = [
    _regex(r"/^1000?(\d{1,2})$/", "$1h"),
    _regex(r"/^10?(\d{1,2})(\d\d)$/", "$1d $2h"),
]
"""For durations that `queries` has packed and `unpack` has turned into texts: Grafana matches only texts."""

STATE_MAPPING: Final[list[ValueMapping]] = [
    ValueMap(
        {
            str(index): ValueMappingResult(text=text, color=color, index=index)
            for index, (text, color) in enumerate(zip(STATES, STATE_COLORS, strict=True))
        }
    )
]


def value_texts(**texts: str) -> list[ValueMapping]:
    """Texts for values; an argument's name is the value after an underscore: `_0="none"`."""
    return [ValueMap({key[1:]: ValueMappingResult(text=text) for key, text in texts.items()})]


def steps(*pairs: tuple[float | None, str]) -> build.ThresholdsConfig:
    thresholds = [Threshold(value=value, color=color) for value, color in pairs]
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(thresholds)


def color(mode: FieldColorModeId, fixed: str | None = None) -> build.FieldColor:
    built = build.FieldColor().mode(mode)
    return built.fixed_color(fixed) if fixed else built


def instant(expr: str, legend: str = "", ref: str = "A") -> Dataquery:
    query = Dataquery().expr(expr).instant().ref_id(ref).datasource(SOURCE)
    return query.legend_format(legend or "__auto")


def rows(expr: str, ref: str) -> Dataquery:
    """An instant query whose answer is a table."""
    return instant(expr, ref=ref).format(PromQueryFormat.TABLE)


def over_time(expr: str, legend: str, ref: str = "A") -> Dataquery:
    return Dataquery().expr(expr).range().legend_format(legend).ref_id(ref).datasource(SOURCE)


AnyPanel = Stat | Table | TimeSeries | BarGauge | Text


def stat(unit: str, *queries: Dataquery, graph: bool = False) -> Stat:
    """Big values; evaluated now, even where the dashboard's range ends in the future."""
    panel = (
        Stat()
        .unit(unit)
        .targets(list(queries))
        .graph_mode(common.BigValueGraphMode.AREA if graph else common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode.VALUE)
        .justify_mode(common.BigValueJustifyMode.CENTER)
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(steps((None, "text")))
        .color_scheme(color(FieldColorModeId.THRESHOLDS))
    )
    return now(panel) if not graph else panel


def countdown(expr: str, mappings: list[ValueMapping], none: str) -> Stat:
    """A duration that was packed by `queries`; `none` stands where there is none."""
    return (
        stat("string", instant(expr, "left"))
        .transformations([unpack("left")])
        .reduce_options(
            common_builder.ReduceDataOptions().calcs(["lastNotNull"]).fields("/^left$/")
        )
        .mappings(mappings)
        .no_value(none)
    )


P = TypeVar("P", Stat, Table, BarGauge)


def now(panel: P) -> P:
    """Fix a panel to the present, whatever range the dashboard shows."""
    return panel.time_from("1h").hide_time_override(True)


def graph(unit: str, *queries: Dataquery) -> TimeSeries:
    """Lines over time with a list legend below."""
    return (
        TimeSeries()
        .unit(unit)
        .targets(list(queries))
        .line_width(2)
        .fill_opacity(0)
        .show_points(common.VisibilityMode.NEVER)
        .color_scheme(color(FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common_builder.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common_builder.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )


def bars(every: str, *queries: Dataquery) -> TimeSeries:
    """Stacked counts, a bar for `every` so much time at least."""
    return (
        graph("short", *queries)
        .min(0)
        .decimals(0)
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .interval(every)
        .stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    )


def requests_graph(*queries: Dataquery) -> TimeSeries:
    """Requests in an hour, below the line at which the API begins to refuse them."""
    line = common_builder.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE)
    return (
        graph("short", *queries)
        .min(0)
        .decimals(0)
        .axis_soft_max(REQUESTS_TOLERATED + 4)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .thresholds(steps((None, "transparent"), (REQUESTS_TOLERATED, RED)))
        .thresholds_style(line)
    )


def override(panel: Any, name: str, **properties: Any) -> None:
    """Set field properties of one series or column; `__` in a name stands for the dot of `custom.`."""
    values = [
        DynamicConfigValue(id_val=key.replace("__", "."), value=value)
        for key, value in properties.items()
    ]
    panel.with_override(MatcherConfig("byName", name), values)


def transformation(kind: str, **options: Any) -> DataTransformerConfig:
    return DataTransformerConfig(id_val=kind, options=options)


def unpack(*names: str) -> DataTransformerConfig:
    """Turn the packed durations in these fields into texts, so that a mapping can unpack them."""
    conversions = [{"targetField": name, "destinationType": "string"} for name in names]
    return transformation("convertFieldType", conversions=conversions)


Placed = TypeVar("Placed", Stat, Table, TimeSeries, BarGauge, Text)


def place(panel: Placed, x: int, y: int, width: int, height: int, title: str, text: str) -> Placed:
    """Give a panel its place in a grid of 24 columns, its title and its description."""
    where = GridPos(x=x, y=y, w=width, h=height)
    return panel.title(title).description(text).datasource(SOURCE).grid_pos(where)


def dashboard(
    title: str,
    uid: str,
    description: str,
    window: tuple[str, str],
    variables: Sequence[build.QueryVariable],
    panels: Sequence[AnyPanel],
) -> build.Dashboard:
    board = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["claude-tracker"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(*window)
        .refresh("1m")
        .timezone("browser")
        .with_variable(
            build.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .link(
            build.DashboardLink("Claude Tracker")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["claude-tracker"])
            .as_dropdown(False)
            .keep_time(False)
            .include_vars(True)
        )
    )
    for one in variables:
        board.with_variable(one)
    for number, panel in enumerate(panels, 1):
        board.with_panel(panel.id(number))
    return board


def variable(name: str, query: str, label: str = "") -> build.QueryVariable:
    """A variable of one or several values, all of them at first."""
    return (
        _query_variable(name, query, label)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def single(name: str, query: str, label: str = "", regex: str = "") -> build.QueryVariable:
    """A variable of one value, the first of its query at first."""
    built = _query_variable(name, query, label).multi(False).include_all(False)
    return built.regex(regex) if regex else built


def _query_variable(name: str, query: str, label: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label or name.capitalize())
        .datasource(SOURCE)
        .query({"qryType": 1, "query": query, "refId": name})
        .definition(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def job_and_instance() -> list[build.QueryVariable]:
    return [
        variable("job", "label_values(claude_usage_build_info, job)"),
        variable("instance", 'label_values(claude_usage_build_info{job=~"$job"}, instance)'),
    ]


def account_variable() -> build.QueryVariable:
    return variable("account", f"label_values(claude_usage_up{{{PLACE}}}, account)")
