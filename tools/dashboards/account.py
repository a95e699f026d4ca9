"""The dashboard *Account*: one account in detail."""

from typing import Final

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    FieldColorModeId,
    RangeMap,
    ValueMappingResult,
)

from tools.dashboards import panels
from tools.dashboards.panels import (
    DAYS_HOURS,
    GREEN,
    HOURS_MINUTES,
    ORANGE,
    RED,
    STATE_MAPPING,
    USED_STEPS,
    instant,
    over_time,
    place,
    transformation,
)
from tools.dashboards.queries import (
    PLACE,
    days_hours,
    hours_minutes,
    metric,
    per_account,
    per_window,
    state,
)
from tools.dashboards.utilization import alert_annotation, reset_annotation, utilization

UID: Final = "claude-tracker-account"
CHOSEN: Final = 'account="$account"'


def account() -> build.Dashboard:
    text = "Usage in steps; grey is an even pace. After now: the forecast until the window is full."
    shown: list[panels.AnyPanel] = [
        place(panel, 3 * index, 0, 3, 3, title, text)
        for index, (panel, title, text) in enumerate(stats())
    ]
    shown += [
        place(used_now(), 0, 3, 6, 9, "Used now", "Every window of the account."),
        place(utilization("5h", CHOSEN), 6, 3, 18, 9, "5h window", text),
        place(
            chances(), 0, 12, 6, 9, "Chance to run out",
            "The probability that a window is full before it resets.",
        ),
        place(utilization("7d", CHOSEN, "7d_.+"), 6, 12, 18, 9, "7d windows", text),
        place(
            heat_map(), 0, 21, 24, 9, "When it is used: share of a 5h window per hour, average of 14 days",
            "Growth of the 5h window by weekday and hour, in your time zone.",
        ),
        place(
            requests(), 0, 30, 12, 7, "Requests in an hour, last 24 hours",
            "Requests to the usage API from every machine that watches the account. It tolerates about 28.",
        ),
        place(failures(), 12, 30, 12, 7, "Failed polls, 7 days", "Polls that failed, by reason."),
    ]  # fmt: skip
    graphs = [10, 12]
    board = panels.dashboard(
        "Claude Tracker / Account",
        UID,
        "One Claude account: its windows, forecasts, habits and requests.",
        ("now-12h", "now+6h"),
        [
            *panels.job_and_instance(),
            panels.single("account", f"label_values(claude_usage_up{{{PLACE}}}, account)"),
        ],
        shown,
    )
    return board.annotation(reset_annotation(CHOSEN, graphs)).annotation(
        alert_annotation("$account", graphs)
    )


def stats() -> list[tuple[Stat, str, str]]:
    """Eight values with their titles and descriptions."""
    of_this = state().replace('account=~"$account"', CHOSEN)
    five = hours_minutes(per_account("reset_seconds", 'window="5h"', chosen=CHOSEN))
    seven = days_hours(per_account("reset_seconds", 'window="7d"', chosen=CHOSEN))
    plan = instant(f"max by (plan) ({metric('account_info', CHOSEN)})", "{{plan}}")
    login = per_account("login_expiry_timestamp_seconds", chosen=CHOSEN)
    spent = f"max by (currency) ({metric('extra_used_amount', CHOSEN)})"
    limit = f"max by (currency) ({metric('extra_limit_amount', CHOSEN)})"
    logged_in = panels.stat("none", instant(per_account("logged_in", chosen=CHOSEN)))
    cost = panels.stat("percentunit", instant(per_account("week_cost_ratio", chosen=CHOSEN)))
    money = panels.stat("percentunit", instant(f"{spent} / {limit}")).decimals(0)
    return [
        (
            panels.stat("none", instant(of_this)).mappings(STATE_MAPPING),
            "State",
            "Free, near its limit, full, not readable, or in need of a login.",
        ),
        (
            panels.countdown(five, HOURS_MINUTES, "no window"),
            "5h resets in",
            "Time until the 5h window resets.",
        ),
        (
            panels.countdown(seven, DAYS_HOURS, "no window"),
            "7d resets in",
            "Time until the 7d window resets.",
        ),
        (
            logged_in.mappings(panels.value_texts(_0="no", _1="yes")),
            "Claude Code uses it",
            "Yes for the account that Claude Code would use now.",
        ),
        (
            panels.stat("none", plan).text_mode(common.BigValueTextMode.NAME),
            "Plan",
            "The plan that the API reports.",
        ),
        (
            panels.stat("dateTimeFromNow", instant(f"{login} * 1000")).no_value("not known"),
            "Login ends",
            "When Claude Code's login of the account expires.",
        ),
        (
            cost.decimals(0).no_value("not known"),
            "A full 5h costs",
            "The part of the week that one full 5h window costs.",
        ),
        (
            money.thresholds(panels.steps(*USED_STEPS)).no_value("no limit"),
            "Extra usage",
            "Money spent, of the limit that is set for it.",
        ),
    ]


def bars(*queries: Dataquery) -> BarGauge:
    return panels.now(
        BarGauge()
        .targets(list(queries))
        .unit("percentunit")
        .decimals(0)
        .min(0)
        .max(1)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .show_unfilled(True)
        .color_scheme(panels.color(FieldColorModeId.THRESHOLDS))
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]))
        .sizing(common.BarGaugeSizing.MANUAL)
        .name_placement(common.BarGaugeNamePlacement.TOP)
        .min_viz_height(30)
        .max_viz_height(72)
        .text(common_builder.VizTextDisplayOptions().title_size(16).value_size(22))
    )


def used_now() -> BarGauge:
    usage = f"sort_desc({per_window('utilization_ratio', chosen=CHOSEN)})"
    return (
        bars(instant(usage, "{{window}}"))
        .thresholds(panels.steps(*USED_STEPS))
        .no_value("too old to show")
    )


def chances() -> BarGauge:
    chance = per_window("run_out_probability_ratio", chosen=CHOSEN)
    return (
        bars(instant(chance, "{{window}}"))
        .thresholds(panels.steps((None, GREEN), (0.5, ORANGE), (0.8, RED)))
        .no_value("too little is known yet")
    )


def heat_map() -> Table:
    """Weekdays by hours. Grafana's heat map knows no weekdays; this is a table with coloured cells.

    Prometheus has hours in UTC only. So the two time columns are made into texts by Grafana, in the reader's zone.
    """
    growth = (
        "clamp_min(max by (account) (delta("
        + metric("utilization_ratio", CHOSEN, 'window="5h"')
        + "[1h])), 0)"
    )
    table = (
        Table()
        .targets(
            [
                over_time(growth, "growth", "A"),
                over_time("vector(time() * 1000)", "weekday", "B"),
            ]
        )
        .time_from("14d")
        .hide_time_override(True)
        .interval("1h")
        .max_data_points(400)
        .transformations(
            [
                transformation("joinByField", byField="Time", mode="outer"),
                transformation(
                    "convertFieldType",
                    conversions=[{"targetField": "weekday", "destinationType": "time"}],
                ),
                transformation("formatTime", timeField="Time", outputFormat="HH", useTimezone=True),
                transformation(
                    "formatTime", timeField="weekday", outputFormat="E ddd", useTimezone=True
                ),
                transformation(
                    "groupBy",
                    fields={
                        "Time": {"aggregations": [], "operation": "groupby"},
                        "weekday": {"aggregations": [], "operation": "groupby"},
                        "growth": {"aggregations": ["mean"], "operation": "aggregate"},
                    },
                ),
                transformation("sortBy", sort=[{"field": "Time"}]),
                transformation("sortBy", sort=[{"field": "weekday"}]),
                transformation(
                    "groupingToMatrix",
                    columnField="Time",
                    rowField="weekday",
                    valueField="growth (mean)",
                ),
                # Grafana's versions name the first column differently.
                transformation("organize", renameByName={"weekday": "Day", r"weekday\Time": "Day"}),
            ]
        )
        .unit("percentunit")
        .decimals(0)
        .mappings([HIDE_ZERO])
        .thresholds(panels.steps(*HEAT))
        .color_scheme(panels.color(FieldColorModeId.THRESHOLDS))
        .cell_height(common.TableCellHeight.SM)
        .cell_options(
            common.TableColoredBackgroundCellOptions(
                mode=common.TableCellBackgroundDisplayMode.BASIC
            )
        )
        .align(common.FieldTextAlignment.CENTER)
        .min_width(40)
    )
    panels.override(
        table, "Day", custom__cellOptions={"type": "auto"}, custom__width=80, custom__align="left"
    )
    return table


HEAT: Final = (
    (None, "transparent"),
    (0.005, "rgba(87, 148, 242, 0.15)"),
    (0.05, "rgba(87, 148, 242, 0.29)"),
    (0.15, "rgba(50, 116, 217, 0.75)"),
    (0.3, "rgb(50, 116, 217)"),
)
"""Blues on which texts can be read in both themes: below an alpha of 0.3 Grafana keeps the text in its usual colour."""

HIDE_ZERO: Final = RangeMap(
    DashboardRangeMapOptions(from_val=-1, to=0.005, result=ValueMappingResult(text=" "))
)


def requests() -> TimeSeries:
    sent = f"max by (account, instance) ({metric('requests_last_hour', CHOSEN)})"
    return (
        panels.requests_graph(over_time(f"sum by (account) ({sent})", "requests"))
        .fill_opacity(15)
        .time_from("24h")
        .hide_time_override(True)
        .legend(common_builder.VizLegendOptions().show_legend(False))
    )


def failures() -> TimeSeries:
    counter = metric("poll_failures_total", CHOSEN)
    failed = f"max by (reason) (increase({counter}[$__interval])) > 0"
    return (
        panels.bars("6h", over_time(failed, "{{reason}}"))
        .time_from("7d")
        .hide_time_override(True)
        .no_value("no poll failed")
    )
