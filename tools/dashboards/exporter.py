"""The dashboard *Exporter*: the monitors themselves, their polls and their notifications."""

from typing import Final

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from tools.dashboards import panels
from tools.dashboards.panels import (
    GREEN,
    ORANGE,
    RED,
    over_time,
    override,
    place,
    rows,
    transformation,
)
from tools.dashboards.queries import PLACE, metric

UID: Final = "claude-tracker-exporter"


def exporter() -> build.Dashboard:
    cpu = f"max by (instance) (rate(process_cpu_seconds_total{{{PLACE}}}[$__rate_interval]))"
    memory = f"max by (instance) (process_resident_memory_bytes{{{PLACE}}})"
    lag = f"max by (instance) ({metric('event_loop_lag_seconds')})"
    scrape = f"max by (instance) (scrape_duration_seconds{{{PLACE}}})"
    size = f"max by (instance) (scrape_samples_scraped{{{PLACE}}})"
    files = f"max by (instance) (process_open_fds{{{PLACE}}})"
    requests = f"sum by (account) (max by (account, instance) ({metric('requests_last_hour')}))"
    poll = metric("poll_duration_seconds")
    shown: list[panels.AnyPanel] = [
        place(instances(), 0, 0, 24, 6, "Monitors", "One row per monitor, with a link to its own page."),
        place(polls(), 0, 6, 16, 8, "Polls per half hour", "Polls of all accounts, those that failed by reason."),
        place(
            backing_off(), 16, 6, 8, 8, "Accounts that back off",
            "Accounts that are polled more slowly because the API refused a request.",
        ),
        place(
            panels.requests_graph(
                over_time(f"max({requests})", "busiest account"),
                over_time(f"quantile(0.5, {requests})", "median", "B"),
            ),
            0, 14, 8, 8, "Requests in an hour",
            "Requests to the usage API per account, of about 28 that it tolerates.",
        ),
        place(
            panels.graph(
                "s",
                over_time(f"max({poll})", "slowest"),
                over_time(f"quantile(0.5, {poll})", "median", "B"),
            ).min(0).line_width(1),
            8, 14, 8, 8, "Duration of polls", "How long the last poll of an account took.",
        ),
        place(
            notifications(), 16, 14, 8, 8, "Notifications per half hour",
            "Notifications by channel, those that failed by reason.",
        ),
        place(per_instance("s", scrape), 0, 22, 6, 7, "Scrape time", "How long Prometheus waited for a page."),
        place(per_instance("short", size), 6, 22, 6, 7, "Samples per scrape", "The size of a page."),
        place(
            per_instance("s", lag), 12, 22, 6, 7, "Event loop lag",
            "The longest stall of the program in the last minute.",
        ),
        place(
            per_instance("percentunit", cpu).decimals(1).axis_soft_max(0.01), 18, 22, 6, 7, "CPU",
            "Processor time, of one core.",
        ),
        place(per_instance("bytes", memory).decimals(0), 0, 29, 12, 7, "Memory", "Resident memory."),
        place(per_instance("none", files).decimals(0), 12, 29, 12, 7, "Open files", "File descriptors in use."),
    ]  # fmt: skip
    return panels.dashboard(
        "Claude Tracker / Exporter",
        UID,
        "The monitors themselves: scrapes, polls, back-offs, notifications and what they cost.",
        ("now-24h", "now"),
        panels.job_and_instance(),
        shown,
    )


def per_instance(unit: str, expr: str) -> TimeSeries:
    query = over_time(expr, "{{instance}}")
    return panels.graph(unit, query).line_width(1).min(0)


def polls() -> TimeSeries:
    every = f"sum(increase({metric('polls_total')}[$__interval]))"
    failures = f"increase({metric('poll_failures_total')}[$__interval])"
    panel = panels.bars(
        "30m",
        over_time(f"clamp_min({every} - sum({failures}), 0)", "succeeded"),
        over_time(f"sum by (reason) ({failures}) > 0", "{{reason}}", "B"),
    )
    override(panel, "succeeded", color={"mode": "fixed", "fixedColor": GREEN})
    return panel


def notifications() -> TimeSeries:
    sent = f"sum by (channel) (increase({metric('notifications_total')}[$__interval]))"
    failures = f"increase({metric('notification_failures_total')}[$__interval])"
    return panels.bars(
        "30m",
        over_time(sent, "{{channel}} sent"),
        over_time(f"sum by (channel, reason) ({failures}) > 0", "{{channel}} {{reason}}", "B"),
    )


def backing_off() -> TimeSeries:
    until = f"max by (account) ({metric('backoff_until_timestamp_seconds')})"
    return (
        panels.graph("short", over_time(f"count({until} > time()) or vector(0)", "backing off"))
        .min(0)
        .axis_soft_max(3)
        .decimals(0)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .fill_opacity(20)
        .color_scheme(panels.color(FieldColorModeId.FIXED, ORANGE))
        .legend(common_builder.VizLegendOptions().show_legend(False))
    )


def texts(**of: tuple[str, str]) -> dict[str, object]:
    """Texts and colours for values; an argument's name is the value after an underscore."""
    options = {key[1:]: {"text": text, "color": color} for key, (text, color) in of.items()}
    return {"type": "value", "options": options}


MUTED: Final = {
    "type": "range",
    "options": {"from": 1, "to": 1e15, "result": {"text": "muted", "color": ORANGE}},
}
COLORED: Final = {"custom__cellOptions": {"type": "color-text"}, "custom__align": "left"}
COLUMNS: Final[tuple[tuple[str, str, dict[str, object]], ...]] = (
    ("instance", "Monitor", {}),
    ("Value #A", "Up", {"mappings": [texts(_0=("down", RED), _1=("up", GREEN))], **COLORED}),
    ("version", "Version", {}),
    ("Value #C", "Started", {"unit": "dateTimeFromNow", "custom__align": "left"}),
    ("Value #D", "Settings", {"mappings": [texts(_0=("reload failed", RED), _1=("ok", GREEN))], **COLORED}),
    ("Value #E", "Last reload", {"unit": "dateTimeFromNow", "custom__align": "left"}),
    ("Value #F", "Alerts", {"mappings": [texts(_0=("on", "text")), MUTED], **COLORED}),
    ("Value #G", "Last notification", {"unit": "dateTimeFromNow", "custom__align": "left"}),
    ("Value #H", "Accounts", {"custom__align": "left"}),
    ("page", "Page", {"links": [{"title": "Open", "url": "http://${__value.raw}/"}]}),
)  # fmt: skip
"""A name as the queries give it, the column's title, and its properties, in order."""


def instances() -> Table:
    """One row per monitor."""
    by = "max by (instance)"
    # An agent gives `instance` the machine's name, without a port.
    page = f'label_replace(up{{{PLACE}}}, "page", "$1", "instance", "(.+)")'
    page = f'label_replace({page}, "page", "$1:15707", "instance", "([^:]+)")'
    muted = metric("alerts_muted_until_timestamp_seconds")
    reload = metric("config_last_reload_success_timestamp_seconds")
    notified = metric("notification_last_success_timestamp_seconds")
    table = panels.now(
        Table()
        .targets(
            [
                rows(f"max by (instance, page) ({page})", "A"),
                rows(f"max by (instance, version) ({metric('build_info')})", "B"),
                rows(f"1000 * {by} (process_start_time_seconds{{{PLACE}}})", "C"),
                rows(f"{by} ({metric('config_last_reload_successful')})", "D"),
                rows(f"1000 * {by} ({reload})", "E"),
                rows(f"{by} ({muted}) > time() or {by} (up{{{PLACE}}}) * 0", "F"),
                rows(f"1000 * {by} ({notified})", "G"),
                rows(f"count by (instance) ({metric('up')})", "H"),
            ]
        )
        .transformations(
            [
                transformation("merge"),
                transformation(
                    "organize",
                    excludeByName={"Time": True, "Value #B": True},
                    renameByName={name: title for name, title, _ in COLUMNS},
                    indexByName={name: index for index, (name, _, _) in enumerate(COLUMNS)},
                ),
            ]
        )
        .cell_height(common.TableCellHeight.SM)
        .thresholds(panels.steps((None, "text")))
    )
    for _, title, properties in COLUMNS:
        override(table, title, **properties)
    return table
