"""The dashboard *Overview*: every account in one table, what to use next, and the account in use as a graph."""

from typing import Final

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

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
    override,
    place,
    rows,
    transformation,
)
from tools.dashboards.queries import (
    STATES,
    days_hours,
    hours_minutes,
    in_state,
    metric,
    per_account,
    per_window,
    room,
    state,
)
from tools.dashboards.utilization import alert_annotation, reset_annotation, utilization

UID: Final = "claude-tracker-overview"
CHOSEN: Final = 'account=~"$account"'
FOCUS: Final = 'account="$focus"'
ALERTS: Final = (
    'max by (alertname, severity, account, window) (ALERTS_FOR_STATE{account=~"$account|"}'
    ' and ignoring (alertstate) ALERTS{alertstate="firing", account=~"$account|"})'
)


def overview() -> build.Dashboard:
    text = "Usage in steps; grey is an even pace. After now: the forecast until the window is full."
    shown: list[panels.AnyPanel] = [
        place(
            use_next(), 0, 0, 5, 4, "Use next",
            "The account with the most room in its 5h and 7d windows. `monitor next` also weighs resets and forecasts.",
        ),
        place(with_room(), 5, 0, 4, 4, "With room", "Accounts that can be read and are not full."),
        place(
            next_free(), 9, 0, 5, 4, "Next reset of a full window",
            "The time until the first of the windows that are full now resets.",
        ),
        place(
            count(in_state("== 2"), ORANGE), 14, 0, 3, 4, "Full",
            "Accounts that have used all of their 5h or 7d limit.",
        ),
        place(
            count(in_state(">= 3"), RED), 17, 0, 3, 4, "Need you",
            "Accounts that need a login or cannot be read.",
        ),
        place(
            oldest(), 20, 0, 4, 4, "Oldest figures",
            "Age of the oldest reading of an account that can be read.",
        ),
        place(utilization("5h", FOCUS), 0, 4, 8, 8, "5h window of $focus", text),
        place(utilization("7d", FOCUS), 8, 4, 8, 8, "7d window of $focus", text),
        place(
            alerts(), 16, 4, 8, 8, "Alerts",
            "Alerts of the rules in grafana/prometheus that fire now. Click one for its runbook.",
        ),
        place(
            accounts(), 0, 12, 24, 10, "Accounts",
            "One row per account: first those that need you, then the fullest. Click an account for its own dashboard.",
        ),
        place(
            states(), 0, 22, 16, 7, "Accounts by state, 7 days",
            "How many accounts were free, near a limit, full, or could not be read.",
        ),
        place(
            free(), 16, 22, 8, 7, "Accounts free, expected",
            "How many accounts will have room: most likely, and between which numbers with a probability of 80 %.",
        ),
    ]  # fmt: skip
    graphs = [7, 8]
    logged_in = f"max by (account) (last_over_time({metric('logged_in', CHOSEN)}[1d]))"
    focus = panels.single(
        "focus",
        f"query_result(sort_desc({logged_in}))",
        "Account in the graphs",
        regex='/account="([^"]+)"/',
    )
    board = panels.dashboard(
        "Claude Tracker / Overview",
        UID,
        "All Claude accounts: what is used, when it resets, and which account to use next.",
        ("now-12h", "now+6h"),
        [*panels.job_and_instance(), panels.account_variable(), focus],
        shown,
    )
    return board.annotation(reset_annotation(FOCUS, graphs)).annotation(
        alert_annotation("$focus", graphs)
    )


def use_next() -> Stat:
    return (
        panels.stat("percentunit", instant(f"topk(1, {room()})", "{{account}}"))
        .text_mode(common.BigValueTextMode.NAME)
        .thresholds(panels.steps((None, RED), (0.1, ORANGE), (0.2, GREEN)))
        .no_value("no account has room")
    )


def with_room() -> Stat:
    return (
        panels.stat("short", instant(in_state("<= 1"), "with room"))
        .mappings(panels.value_texts(_0="All exhausted"))
        .thresholds(panels.steps((None, RED), (1, GREEN)))
    )


def next_free() -> Stat:
    full = per_window("utilization_ratio", 'window=~"5h|7d"') + " >= 1"
    left = f"min({per_window('reset_seconds')} and on (account, window) ({full}))"
    return panels.countdown(hours_minutes(left), HOURS_MINUTES, "none is full")


def count(expr: str, color: str) -> Stat:
    return panels.stat("short", instant(expr)).thresholds(panels.steps((None, GREEN), (1, color)))


def oldest() -> Stat:
    readable = f"and on (account) ({state()}) <= 2"
    age = f"time() - min({per_account('last_success_timestamp_seconds')} {readable})"
    steps = panels.steps((None, GREEN), (900, ORANGE), (1800, RED))
    return panels.stat("s", instant(age)).decimals(0).thresholds(steps)


def accounts() -> Table:
    """One row per account."""
    five, seven = 'window="5h"', 'window="7d"'
    full_at = metric("full_timestamp_seconds", CHOSEN, 'percentile="50"')
    trend = panels.over_time(per_account("utilization_ratio", five), "{{account}}", "T")
    table = panels.now(
        Table()
        .targets(
            [
                rows(state(), "S"),
                rows(per_account("utilization_ratio", five), "A"),
                rows(hours_minutes(per_account("reset_seconds", five)), "B"),
                trend,
                rows(per_account("utilization_ratio", seven), "C"),
                rows(days_hours(per_account("reset_seconds", seven)), "D"),
                rows(f"min by (account) ({full_at} > time()) * 1000", "E"),
                rows(f"{per_account('login_expiry_timestamp_seconds')} * 1000", "F"),
            ]
        )
        .transformations(
            [
                transformation("timeSeriesTable", T={"stat": "lastNotNull"}),
                panels.unpack("Value #B", "Value #D"),
                transformation("merge"),
                transformation(
                    "organize",
                    excludeByName={"Time": True},
                    renameByName={name: title for name, title, _ in COLUMNS},
                    indexByName={name: index for index, (name, _, _) in enumerate(COLUMNS)},
                ),
            ]
        )
        .cell_height(common.TableCellHeight.SM)
        .sort_by(
            [
                common_builder.TableSortByFieldState().display_name(name).desc(True)
                for name in ("State", "5h")
            ]
        )
        .thresholds(panels.steps((None, "text")))
    ).time_from("24h")
    for _, title, properties in COLUMNS:
        override(table, title, **properties)
    return table


GAUGE: Final = {
    "custom__cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
    "unit": "percentunit",
    "decimals": 0,
    "min": 0,
    "max": 1,
    "thresholds": {
        "mode": "absolute",
        "steps": [{"value": value, "color": color} for value, color in USED_STEPS],
    },
    "color": {"mode": "thresholds"},
}
COLUMNS: Final = (
    ("account", "Account", {
        "custom__minWidth": 120,
        "links": [{
            "title": "${__value.raw}",
            "url": "/d/claude-tracker-account?var-account=${__value.raw}&${datasource:queryparam}",
        }],
    }),
    ("Value #S", "State", {
        "mappings": [mapping.to_json() for mapping in STATE_MAPPING],
        "custom__cellOptions": {"type": "color-text"},
        "custom__align": "left",
        "custom__width": 125,
    }),
    ("Value #A", "5h", GAUGE),
    ("Trend #T", "5h, last 24 hours", {
        "custom__cellOptions": {
            "type": "sparkline", "hideValue": True, "lineWidth": 1, "fillOpacity": 17, "lineInterpolation": "stepAfter",
        },
        "color": {"mode": "fixed", "fixedColor": panels.BLUE},
        "noValue": " ",
        "custom__width": 190,
    }),
    ("Value #B", "5h resets in", {
        "mappings": [mapping.to_json() for mapping in HOURS_MINUTES],
        "custom__align": "right",
        "custom__width": 110,
    }),
    ("Value #C", "7d", GAUGE),
    ("Value #D", "7d resets in", {
        "mappings": [mapping.to_json() for mapping in DAYS_HOURS],
        "custom__align": "right",
        "custom__width": 110,
    }),
    ("Value #E", "Runs out", {"unit": "dateTimeFromNow", "custom__align": "right", "custom__width": 125}),
    ("Value #F", "Login ends", {"unit": "dateTimeFromNow", "custom__align": "right", "custom__width": 125}),
)  # fmt: skip
"""A name as the queries give it, the column's title, and its properties, in order."""


def alerts() -> Table:
    """The alerts that fire, newest first."""
    table = panels.now(
        Table()
        .targets([rows(f"sort_desc(1000 * {ALERTS})", "A")])
        .transformations(
            [
                transformation(
                    "organize",
                    excludeByName={"Time": True, "severity": True},
                    renameByName={
                        "alertname": "Alert",
                        "account": "Account",
                        "window": "Window",
                        "Value": "Since",
                    },
                    indexByName={"alertname": 0, "account": 1, "window": 2, "Value": 3},
                )
            ]
        )
        .cell_height(common.TableCellHeight.SM)
        .no_value("No alert fires")
        .thresholds(panels.steps((None, "text")))
    )
    runbook = {"title": "Runbook", "url": "/d/claude-tracker-runbooks"}
    override(table, "Alert", links=[runbook], custom__minWidth=160)
    override(table, "Account", custom__width=110)
    override(table, "Window", custom__width=80, noValue="")
    override(table, "Since", unit="dateTimeFromNow", custom__width=135, custom__align="right")
    return table


def free() -> Table:
    """How many accounts will be free, a row for each time ahead."""
    shown = (
        ('percentile="10"', "At least", "A"),
        ('percentile="50"', "Most likely", "B"),
        ('percentile="90"', "At most", "C"),
    )
    names = {"horizon": "In", **{f"Value #{ref}": title for _, title, ref in shown}}
    table = panels.now(
        Table()
        .targets(
            [
                rows(f"max by (horizon) ({metric('accounts_free', percentile)})", ref)
                for percentile, _, ref in shown
            ]
        )
        .transformations(
            [
                transformation("merge"),
                transformation(
                    "organize",
                    excludeByName={"Time": True},
                    renameByName=names,
                    indexByName={name: index for index, name in enumerate(names)},
                ),
            ]
        )
        .cell_height(common.TableCellHeight.SM)
        .sort_by([common_builder.TableSortByFieldState().display_name("In").desc(False)])
        .no_value("known after two days, of two accounts or more")
        .thresholds(panels.steps((None, RED), (1, GREEN)))
    )
    mappings = [mapping.to_json() for mapping in panels.value_texts(_0h="now")]
    override(table, "In", mappings=mappings, custom__minWidth=60)
    for _, title, _ in shown:
        colored = {"custom__cellOptions": {"type": "color-text"}}
        override(table, title, custom__align="right", custom__minWidth=70, **colored)
    return table


def states() -> TimeSeries:
    shown = ((0, STATES[0], GREEN), (1, STATES[1], ORANGE), (2, STATES[2], RED))
    queries = [
        panels.over_time(in_state(f"== {index}"), name, chr(65 + index)) for index, name, _ in shown
    ]
    queries.append(panels.over_time(in_state(">= 3"), "unreadable", "D"))
    panel = (
        panels.graph("short", *queries)
        .decimals(0)
        .min(0)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .line_width(0)
        .fill_opacity(70)
        .stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        .time_from("7d")
        .hide_time_override(True)
    )
    for name, color in (*((name, color) for _, name, color in shown), ("unreadable", "#B877D9")):
        override(panel, name, color={"mode": FieldColorModeId.FIXED, "fixedColor": color})
    return panel
