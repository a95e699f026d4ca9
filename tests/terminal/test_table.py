"""The table's lines, and which of its columns a width holds."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import Cause, Failure, Reason
from monitor.core.forecast import Forecast, FullAt
from monitor.core.model import AccountForecast, ExtraUsage, Usage, Window
from monitor.core.state import State
from monitor.terminal import table
from monitor.terminal.table import column_widths, render_plain
from monitor.terminal.text import Back, Style, line_width, plain
from monitor.terminal.text import width as width_of
from tests.builders import NOW, after
from tests.terminal import strategies
from tests.terminal.factories import STATES, account, down, state_of


def shown(state: State, width: int = 100, selected: str | None = None) -> list[str]:
    lines = table.table_lines(state, NOW, width, selected)
    return [plain(line).rstrip() for line in lines]


def test_the_table_looks_like_the_picture_in_the_readme() -> None:
    assert shown(STATES["three"](NOW), selected="user@personal.com") == [
        " #  | Name                | 5h % | 5h Bar     | 5h Reset | 7d % | 7d Bar     | 7d Reset | Status",
        " >1 | user@personal.com * |  42% | ████▎░░░░░ | 2h 14m   |  18% | █▊░░░░░░░░ | 6d 23h   | Logged In",
        "  2 | user@work.com       |  87% | ████████▊░ | 38m 00s  |  65% | ██████▌░░░ | 4d 11h   | Live",
        "  3 | user@client.com     | 100% | ██████████ | 12m 00s  |  91% | █████████▏ | 2d 06h   | Live, full",
    ]


def row_at(state: State, place: int = 0) -> str:
    return shown(state)[place + 1]


def test_a_limit_that_does_not_exist_is_not_zero() -> None:
    assert "|   -- | ────────── | --       |   -- |" in row_at(state_of(account(NOW, "a@b.c")))


def test_an_account_that_has_nothing_but_money_shows_that() -> None:
    extra = ExtraUsage(True, Decimal(995), Decimal(1000), "USD")
    seen = Usage(NOW, (Window("extra", 0.995),), extra)
    paid = replace(account(NOW, "a@b.c"), usage=seen)
    assert row_at(state_of(paid)).endswith("| $995 of $1,000, Live")
    assert shown(state_of(paid), 16)[1].endswith("99%")
    also = replace(seen, windows=(Window("5h", 0.1), *seen.windows))
    assert row_at(state_of(replace(paid, usage=also))).endswith("| Live")
    assert shown(state_of(replace(paid, usage=also)), 16)[1].endswith("10%")


def test_a_window_that_is_not_open_is_zero_without_a_reset() -> None:
    row = row_at(state_of(account(NOW, "a@b.c", ("5h", 0, ""))))
    assert "|   0% | ░░░░░░░░░░ | --       |" in row


def test_a_passed_reset_shows_an_expected_zero_at_once() -> None:
    state = state_of(account(NOW, "a@b.c", ("5h", 65, "10m")))
    _, row = table.table_lines(state, after(minutes=10), 100)
    assert "|  ~0% | ░░░░░░░░░░ | expected |" in plain(row)


def test_the_label_stands_in_the_table_where_it_is_set() -> None:
    named = account(NOW, "user@work.com", ("5h", 42, "2h 14m"))
    labelled = replace(named, account=replace(named.account, label="work"))
    row = row_at(state_of(labelled))
    assert "| work * | " in row
    assert "user@work.com" not in row


def test_a_failing_account_keeps_its_last_numbers() -> None:
    healthy = account(NOW, "a@b.c", ("5h", 42, "2h 14m"))
    row = row_at(state_of(down(NOW, healthy, Reason.CONNECTION)))
    assert "|  42% | ████▎░░░░░ | 2h 14m   |" in row
    assert row.endswith("| No network")


def test_without_a_status_column_a_failing_account_has_a_mark() -> None:
    state = state_of(down(NOW, account(NOW, "a@b.c", ("5h", 42, "2h")), Reason.TIMEOUT))
    assert "! a@b.c *" in shown(state, width=24)[1]


@pytest.mark.parametrize("width", range(16, 140))
def test_old_numbers_never_look_current(width: int) -> None:
    failing = account(NOW, "user@work.com", ("5h", 42, "2h"), ("7d", 91, "2d"), age="16m")
    limited = down(NOW, failing, Reason.RATE_LIMITED, backoff_until=NOW)
    silent = account(NOW, "user@home.com", ("5h", 42, "2h"), age="20m")
    _, first, second = shown(state_of(limited, silent), width=width)
    assert ", 16m" in first or " ! u" in first
    assert "20m ago" in second or " ! u" in second


def test_the_narrowest_table_shows_the_name_and_the_worse_percentage() -> None:
    state = state_of(account(NOW, "user@work.com", ("5h", 12, "2h"), ("7d", 91, "2d")))
    assert shown(state, width=20, selected="user@work.com") == [
        "  Name           Max",
        "> user@work.… *  91%",
    ]


def test_utilization_is_coloured_from_green_to_red() -> None:
    steps = [0, 30, 50, 70, 90, 99, 100]
    shown = state_of(*(account(NOW, str(p), ("5h", p, "2h")) for p in steps))
    _, *lines = table.table_lines(shown, NOW, 100)
    styles = [next(span.style for span in line if "%" in span.text) for line in lines]
    assert styles == [
        Style.COOL, Style.COOL, Style.MILD, Style.WARM, Style.HOT, Style.FULL, Style.FULL,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "first", "last", "count"),
    [
        (168, "number", "status", 12),
        (156, "number", "status", 11),
        (142, "number", "status", 10),
        (119, "number", "status", 9),
        (77, "number", "status", 9),
        (76, "number", "status", 8),
        (65, "number", "status", 7),
        (46, "number", "status", 6),
        (45, "mark", "status", 6),
        (40, "mark", "7d percent", 5),
        (30, "mark", "7d percent", 4),
        (20, "mark", "worst", 3),
        (1, "mark", "worst", 3),
    ],
)
def test_columns_go_as_the_terminal_narrows(width: int, first: str, last: str, count: int) -> None:
    shown = list(column_widths(width, 30, (24, 10))[1])
    assert (shown[0], shown[-1], len(shown)) == (first, last, count)


def test_a_name_is_shortened_before_a_column_goes() -> None:
    assert [column_widths(width, 30, (10,))[1]["name"] for width in (111, 101, 93)] == [30, 20, 12]


@pytest.mark.parametrize(
    ("width", "name", "status"), [(119, 20, 28), (112, 20, 21), (101, 20, 10), (95, 14, 10)]
)
def test_a_status_gets_shorter_before_a_name_is_cut(width: int, name: int, status: int) -> None:
    _, widths = column_widths(width, 20, (28, 20, 10))
    assert (widths["name"], widths["status"]) == (name, status)


def test_bars_get_shorter_before_a_name_is_cut_where_columns_stand_close() -> None:
    found = [column_widths(width, 20, (10,)) for width in (92, 85, 80, 77)]
    shown = [(between, widths["5h bar"], widths["name"]) for between, widths in found]
    assert shown == [(" ", 10, 20), (" ", 10, 20), (" ", 7, 20), (" ", 6, 20)]


def test_every_standard_column_with_its_bars_fits_eighty_cells() -> None:
    assert "5h Bar" in shown(STATES["twenty"](NOW), width=80)[0]
    assert "7d Bar" in shown(STATES["twenty"](NOW), width=80)[0]


def forecast(run_out: float, full_at: datetime | None = None) -> Forecast:
    return Forecast(run_out, FullAt(full_at, full_at, full_at) if full_at else None)


@pytest.mark.parametrize(
    ("five", "week", "words"),
    [
        (None, None, "too early"),
        (forecast(0.1), None, "lasts"),
        (forecast(0.9, after(hours=1)), forecast(0.1), "13:00"),
        (forecast(0.1), forecast(0.9, after(hours=30)), "Mon 18:00"),
        (forecast(0.1), forecast(0.9, after(hours=3)), "15:00"),
    ],
)
def test_from_120_cells_it_says_when_an_account_is_full(
    five: Forecast | None, week: Forecast | None, words: str
) -> None:
    known = {key: each for key, each in (("5h", five), ("7d", week)) if each}
    used = account(NOW, "a@b.c", ("5h", 42, "2h 14m"), ("7d", 91, "2d"))
    state = state_of(replace(used, forecast=AccountForecast(NOW, known)))
    header, row = shown(state, width=120)
    assert row[header.index("Full") :].startswith(f"{words} ")
    assert "Full" not in shown(state, width=119)[0]


def test_an_account_is_full_now_also_where_its_reset_is_not_known() -> None:
    used = account(NOW, "a@b.c", ("5h", 42, "2h 14m"), ("7d", 100, "2d"))
    assert used.usage is not None
    windows = tuple(replace(window, resets_at=None) for window in used.usage.windows)
    state = state_of(replace(used, usage=replace(used.usage, windows=windows)))
    header, row = shown(state, width=120)
    assert row[header.index("Full") :].startswith("now ")


def test_a_status_is_shortened_for_full_but_not_for_the_trend() -> None:
    waiting = Failure(Reason.AUTH, Cause.WAITING, folder="/home/me/.claude-work")
    state = state_of(down(NOW, account(NOW, "user@personal.com", ("5h", 42, "2h")), waiting))
    header, row = shown(state, width=120)
    assert "Full" in header
    assert row.endswith("| Run claude")
    assert "Waiting for Claude Code" in shown(state, width=130)[1]
    assert "Trend" not in shown(state, width=130)[0]
    assert "Trend" in shown(state, width=150)[0]


@given(strategies.states, st.integers(120, 300))
def test_full_is_there_on_every_screen_of_120_columns(state: State, width: int) -> None:
    assert "Full" in plain(table.table_lines(state, NOW, width)[0])
    beside = width * 13 // 20 - 1  # from 160 columns on, the details take the rest
    assert "Full" in plain(table.table_lines(state, NOW, max(beside, 103), screen=width)[0])


def test_from_130_cells_it_shows_the_fullest_week_of_a_model() -> None:
    weeks = (("7d_opus", 12, "2d"), ("7d_fable", 88, "2d"))
    header, row = shown(state_of(account(NOW, "a@b.c", ("5h", 42, "2h"), *weeks)), width=130)
    assert row[header.index("Model 7d") :].startswith("fable   88% ")
    _, without = shown(state_of(account(NOW, "a@b.c", ("5h", 42, "2h"))), width=130)
    assert without[header.index("Model 7d") :].startswith("--  ")


def test_from_130_cells_it_shows_the_last_hours_of_the_5_hour_window() -> None:
    trends = {"5h": (None, *[0.1] * 20, 0.5, 0.9, 1.0)}
    used = replace(
        account(NOW, "a@b.c", ("5h", 100, "2h")), forecast=AccountForecast(NOW, trends=trends)
    )
    header, row = shown(state_of(used), width=130)
    assert row[header.index("5h Trend") :].startswith("▁▁▁▁▁▄▇█ |")


def test_the_selected_row_has_a_ground_of_its_own_to_the_edge() -> None:
    lines = table.table_lines(STATES["three"](NOW), NOW, 100, "user@work.com")
    assert line_width(lines[2]) == 100
    assert all(span.back for span in lines[2])
    assert {span.back for span in lines[1]} == {None, Back.TRACK}


def test_a_star_survives_a_short_name() -> None:
    state = state_of(account(NOW, "a.very.long.name.of.a.person@example.com"))
    assert "a.very.long.n… *" in shown(state, width=93)[1]


@given(strategies.states, st.integers(1, 300))
def test_no_line_is_wider_than_the_table(state: State, width: int) -> None:
    for line in table.table_lines(state, NOW, width):
        assert line_width(line) <= width
        assert "\x1b" not in plain(line)


@given(strategies.states)
def test_columns_stand_under_their_titles_whatever_the_names(state: State) -> None:
    _, *lines = table.table_lines(state, NOW, 200)
    places = {width_of(plain(line).split(" | ", 1)[0]) for line in lines}
    assert len(places) <= 1


def test_the_plain_table_has_no_selection_and_no_space_at_the_end_of_lines() -> None:
    assert render_plain(STATES["three"](NOW), NOW, 100).splitlines() == [
        " #  | Name                | 5h % | 5h Bar     | 5h Reset | 7d % | 7d Bar     | 7d Reset | Status",
        "  1 | user@personal.com * |  42% | ████▎░░░░░ | 2h 14m   |  18% | █▊░░░░░░░░ | 6d 23h   | Logged In",
        "  2 | user@work.com       |  87% | ████████▊░ | 38m 00s  |  65% | ██████▌░░░ | 4d 11h   | Live",
        "  3 | user@client.com     | 100% | ██████████ | 12m 00s  |  91% | █████████▏ | 2d 06h   | Live, full",
    ]


def test_without_accounts_it_says_how_to_get_one() -> None:
    text = render_plain(State(), NOW, 100)
    assert text.startswith(
        "No account yet: log in with `claude`, then run `monitor accounts import"
    )
    assert "Press" not in text  # there are no keys here


@given(strategies.states, st.integers(1, 300))
def test_no_plain_line_is_too_wide_or_holds_a_control(state: State, width: int) -> None:
    text = render_plain(state, NOW, width)
    lines = text.splitlines()
    assert len(lines) == max(len(state.accounts) + 1, 1) if state.accounts else len(lines) == 1
    assert "\x1b" not in text
    if state.accounts:
        assert all(width_of(line) <= width for line in lines)
