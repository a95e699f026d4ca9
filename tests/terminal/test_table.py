"""The table's lines, and which of its columns a width holds."""

from dataclasses import replace
from datetime import UTC
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import Reason
from monitor.core.model import ExtraUsage, Usage, Window
from monitor.core.state import State
from monitor.terminal import table
from monitor.terminal.table import column_widths, render_plain
from monitor.terminal.text import Style, line_width, plain
from monitor.terminal.text import width as width_of
from tests.builders import NOW, after
from tests.terminal import hostile_texts
from tests.terminal.factories import STATES, account, down, state_of


def shown(state: State, width: int = 100, selected: str | None = None) -> list[str]:
    lines = table.table_lines(state, NOW, width, table.Marks(selected), UTC)
    return [plain(line).rstrip() for line in lines]


def test_the_table_looks_like_the_picture_in_the_readme() -> None:
    assert shown(STATES["three"](NOW), selected="user@personal.com") == [
        " #  | Name                | 5h % | 5h Bar     | 5h Reset | 7d % | 7d Bar     | 7d Reset | Status",
        " >1 | user@personal.com * |  42% | ████░░░░░░ | 2h 14m   |  18% | ██░░░░░░░░ | 6d 23h   | Logged In",
        "  2 | user@work.com       |  87% | █████████░ | 38m 00s  |  65% | ███████░░░ | 4d 11h   | Live",
        "  3 | user@client.com     | 100% | ██████████ | 12m 00s  |  91% | █████████░ | 2d 06h   | Live, full",
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
    _, row = table.table_lines(state, after(minutes=10), 100, tz=UTC)
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
    assert "|  42% | ████░░░░░░ | 2h 14m   |" in row
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
    rows = table.rows(state_of(*(account(NOW, str(p), ("5h", p, "2h")) for p in steps)), NOW)
    styles = [table.percent(row.windows["5h"]).style for row in rows]
    assert styles == [
        Style.COOL, Style.COOL, Style.MILD, Style.WARM, Style.HOT, Style.FULL, Style.FULL,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "first", "last", "count"),
    [
        (120, "number", "status", 9),
        (93, "number", "status", 9),
        (92, "number", "status", 8),
        (78, "number", "status", 7),
        (60, "number", "status", 6),
        (50, "mark", "status", 6),
        (40, "mark", "7d percent", 5),
        (30, "mark", "7d percent", 4),
        (20, "mark", "worst", 3),
        (1, "mark", "worst", 3),
    ],
)
def test_columns_go_as_the_terminal_narrows(width: int, first: str, last: str, count: int) -> None:
    shown = list(column_widths(width, 30, (24, 10)))
    assert (shown[0], shown[-1], len(shown)) == (first, last, count)


def test_a_name_is_shortened_before_a_column_goes() -> None:
    assert [column_widths(width, 30, (10,))["name"] for width in (111, 101, 93)] == [30, 20, 12]


@pytest.mark.parametrize(
    ("width", "name", "status"), [(120, 20, 29), (112, 20, 21), (101, 20, 10), (95, 14, 10)]
)
def test_a_status_gets_shorter_before_a_name_is_cut(width: int, name: int, status: int) -> None:
    widths = column_widths(width, 20, (28, 20, 10))
    assert (widths["name"], widths["status"]) == (name, status)


def test_a_star_survives_a_short_name() -> None:
    state = state_of(account(NOW, "a.very.long.name.of.a.person@example.com"))
    assert "a.very.long.n… *" in shown(state, width=93)[1]


@given(hostile_texts.states, st.integers(1, 300))
def test_no_line_is_wider_than_the_table(state: State, width: int) -> None:
    for line in table.table_lines(state, NOW, width, tz=UTC):
        assert line_width(line) <= width
        assert "\x1b" not in plain(line)


@given(hostile_texts.states)
def test_columns_stand_under_their_titles_whatever_the_names(state: State) -> None:
    _, *lines = table.table_lines(state, NOW, 150, tz=UTC)
    places = {width_of(plain(line).split(" | ", 1)[0]) for line in lines}
    assert len(places) <= 1


def test_the_plain_table_has_no_selection_and_no_space_at_the_end_of_lines() -> None:
    assert render_plain(STATES["three"](NOW), NOW, 100, UTC).splitlines() == [
        " #  | Name                | 5h % | 5h Bar     | 5h Reset | 7d % | 7d Bar     | 7d Reset | Status",
        "  1 | user@personal.com * |  42% | ████░░░░░░ | 2h 14m   |  18% | ██░░░░░░░░ | 6d 23h   | Logged In",
        "  2 | user@work.com       |  87% | █████████░ | 38m 00s  |  65% | ███████░░░ | 4d 11h   | Live",
        "  3 | user@client.com     | 100% | ██████████ | 12m 00s  |  91% | █████████░ | 2d 06h   | Live, full",
    ]


def test_without_accounts_it_says_how_to_get_one() -> None:
    text = render_plain(State(), NOW, 100)
    assert text.startswith(
        "No account yet: log in with `claude`, then run `monitor accounts import"
    )
    assert "Press" not in text  # there are no keys here


@given(hostile_texts.states, st.integers(1, 300))
def test_no_plain_line_is_too_wide_or_holds_a_control(state: State, width: int) -> None:
    text = render_plain(state, NOW, width, UTC)
    lines = text.splitlines()
    assert len(lines) == max(len(state.accounts) + 1, 1) if state.accounts else len(lines) == 1
    assert "\x1b" not in text
    if state.accounts:
        assert all(width_of(line) <= width for line in lines)
