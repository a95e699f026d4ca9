"""All accounts together: their short names, the order and the filter of the rows, and the line that sums them up."""

from dataclasses import replace

import pytest

from monitor.core.errors import Reason
from monitor.core.exhaustion import FreeAccounts, PoolForecast
from monitor.core.state import State
from monitor.terminal.dialogs import Filter
from monitor.terminal.frame import Footer, frame
from monitor.terminal.screen import Copy, Order, Screen, press
from monitor.terminal.text import Size, line_width, plain
from monitor.terminal.tty import Key
from monitor.terminal.words import fleet, fleet_line, short_names, window_title
from tests.builders import NOW, after
from tests.terminal.factories import STATES, account, down, state_of

FIVE = state_of(
    account(NOW, "anna@work.com", ("5h", 42, "2h 14m"), ("7d", 20, "6d"), plan="max_20x"),
    account(NOW, "ben@work.com", ("5h", 97, "38m"), ("7d", 65, "4d"), plan="pro"),
    account(NOW, "carla@home.org", ("5h", 0, ""), ("7d", 5, "1d"), config_dir="/home/me/.claude c"),
    account(NOW, "finn@work.com", ("5h", 100, "1h 4m"), ("7d", 18, "22h"), config_dir=""),
    down(NOW, account(NOW, "jon@home.org", ("5h", 10, "3h"), ("7d", 92, "2d")), Reason.AUTH),
)


def pressed(screen: Screen, *names: str, state: State = FIVE) -> tuple[Screen, object]:
    command: object = None
    for name in names:
        screen, command = press(screen, Key(name, name if len(name) == 1 else ""), state, NOW)
    return screen, command


def beginnings(names: tuple[str, ...]) -> str:
    return " ".join(name.partition("@")[0] for name in names)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (Order.SETTINGS, "anna ben carla finn jon"),
        (Order.ROOM, "carla anna ben jon finn"),
        (Order.RESET, "ben finn anna carla jon"),
        (Order.WORST, "finn ben jon anna carla"),
    ],
)
def test_the_rows_have_the_order_that_was_chosen(order: Order, names: str) -> None:
    found = Screen(order=order).names(FIVE, NOW)
    if order is Order.RESET:
        assert beginnings(found[:3]) == "ben finn anna"
    else:
        assert beginnings(found) == names


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", "anna ben carla finn jon"),
        ("WORK", "anna ben finn"),
        ("work pro", "ben"),
        ("20x", "anna"),
        ("nobody", ""),
    ],
)
def test_a_filter_is_of_name_label_and_plan(pattern: str, names: str) -> None:
    assert beginnings(Screen(pattern=pattern).names(FIVE, NOW)) == names


def test_o_turns_through_the_orders_and_the_selection_keeps_its_account() -> None:
    screen, _ = pressed(Screen(), "j", "o")
    assert screen.order is Order.ROOM
    assert screen.selection(screen.names(FIVE, NOW)) == "ben@work.com"
    text = frame(FIVE, screen, NOW, Size(100, 16)).text
    assert text.index("carla@") < text.index("anna@") < text.index("finn@work")
    assert " >2 | ben@" in text, "each row has the number of the settings"
    assert pressed(Screen(), "o", "o", "o", "o")[0].order is Order.SETTINGS


def test_a_slash_filters_while_it_is_typed_and_escape_shows_all() -> None:
    typing, _ = pressed(Screen(), "/", "h", "o", "m", "e")
    assert isinstance(typing.dialog, Filter)
    shown = frame(FIVE, typing, NOW, Size(100, 16))
    assert shown.cursor == (5, 15)
    assert shown.text.splitlines()[-1].startswith("/home")
    assert "carla@" in shown.text
    assert "| ben@" not in shown.text
    kept, _ = pressed(typing, "enter", "j")
    assert kept.selection(kept.names(FIVE, NOW)) == "jon@home.org"
    assert "/home: 2 of 5" in frame(FIVE, kept, NOW, Size(100, 16)).text
    assert pressed(typing, "esc")[0].pattern == pressed(kept, "esc")[0].pattern == ""
    assert pressed(pressed(kept, " ")[0], "esc")[0].pattern == "home", (
        "the details are closed first"
    )


def test_a_filter_that_nothing_matches_says_how_to_leave_it() -> None:
    screen, _ = pressed(Screen(), "/", "q", "q", "enter")
    for size in (Size(100, 16), Size(20, 4)):
        assert "No account matches" in frame(FIVE, screen, NOW, size).text
    again, command = pressed(screen, "R")
    assert command is None
    assert again.message is not None
    assert "Esc shows all" in again.message.text


@pytest.mark.parametrize(
    ("keys", "text"),
    [("jj", "CLAUDE_CONFIG_DIR='/home/me/.claude c' claude"), ("jjj", "claude")],
)
def test_c_copies_and_shows_the_command_of_the_account(keys: str, text: str) -> None:
    screen, command = pressed(Screen(), *keys, "c")
    assert command == Copy(text)
    assert screen.message is not None
    assert text in screen.message.text


def test_an_account_that_claude_code_has_no_login_of_has_no_command() -> None:
    screen, command = pressed(Screen(), "c")
    assert command is None
    assert screen.message is not None
    assert screen.message.is_error


def test_an_unknown_key_names_the_help_once() -> None:
    screen, _ = pressed(Screen(), "z")
    assert screen.message is not None
    assert screen.message.text == "? for help"
    assert pressed(replace(screen, message=None), "z")[0].message is None


def test_the_fleet_in_one_line() -> None:
    line = plain(fleet_line(FIVE, fleet(FIVE, NOW)[0], NOW, 100)).strip()
    assert line == (
        "3 of 5 free · 1 full · 1 needs a login · use carla@ · next free finn@ 13:04 · week left 60%"
    )
    assert all(
        line_width(fleet_line(FIVE, fleet(FIVE, NOW)[0], NOW, room)) <= room
        for room in range(1, 90)
    )


def test_a_sum_holds_until_a_reset_and_for_a_moment_at_most() -> None:
    assert fleet(FIVE, NOW)[1] == after(seconds=15)
    before_reset = after(minutes=37, seconds=50)
    assert fleet(FIVE, before_reset)[1] == after(minutes=38)


def test_that_all_are_full_soon_is_told() -> None:
    pool = PoolForecast(NOW, (), 0.5, after(hours=3))
    line = plain(fleet_line(replace(FIVE, pool=pool), fleet(FIVE, NOW)[0], NOW, 140))
    assert "all full about 15:00" in line
    unlikely = replace(FIVE, pool=replace(pool, exhausted_probability=0.1))
    assert "all full" not in plain(fleet_line(unlikely, fleet(FIVE, NOW)[0], NOW, 140))


def test_accounts_that_are_free_later_are_told_where_there_is_room_beside_the_source() -> None:
    free = (FreeAccounts(NOW, 3, 3, 3), FreeAccounts(after(hours=1), 2, 3, 4))
    state = replace(FIVE, pool=PoolForecast(NOW, free, 0.1, None))
    later = " · free 2–4 at 13:00 (80%)"

    def last_line(footer: str, columns: int = 140) -> str:
        shown = frame(state, Screen(), NOW, Size(columns, 16), Footer(footer))
        return shown.text.splitlines()[-2]

    assert last_line("").endswith(f"week left 60%{later}")
    assert later in last_line("by pid 1")
    assert last_line("by pid 1", 120).endswith("by pid 1")
    assert later not in last_line("by pid 1", 120)


def test_the_account_to_use_next_is_marked_and_of_one_account_none_is() -> None:
    text = frame(FIVE, Screen(), NOW, Size(100, 16)).text
    assert [line for line in text.splitlines() if "←" in line] == [
        line for line in text.splitlines() if "| carla@" in line
    ]
    alone = state_of(account(NOW, "anna@work.com", ("5h", 42, "2h")))
    assert "←" not in frame(alone, Screen(), NOW, Size(100, 16)).text


def test_short_names_are_labels_and_beginnings_that_are_unambiguous() -> None:
    labelled = account(NOW, "anna@work.com")
    labelled = replace(labelled, account=replace(labelled.account, label="work"))
    state = state_of(labelled, account(NOW, "ben@work.com"), account(NOW, "ben@home.org"))
    assert list(short_names(state).values()) == ["work", "ben@work.com", "ben@home.org"]
    assert short_names(STATES["twenty"](NOW))["user01@example.com"] == "user01@"


def test_the_window_title_follows_the_worst_window() -> None:
    assert window_title(FIVE, fleet(FIVE, NOW)[0]) == "100% finn@ 5h · Claude Tracker"
    later = after(hours=1, minutes=10)
    assert window_title(FIVE, fleet(FIVE, later)[0]) == "92% jon@ 7d · Claude Tracker"
