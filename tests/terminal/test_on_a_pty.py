"""The table as a process on a pseudo-terminal: how it starts, stalls and ends."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.bus import wait_until
from tests.real.pty import Terminal, terminal, terminal_env

LEFT = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l")
ROW = ">1 | user@personal.com *←"


@contextmanager
def table(
    *arguments: str, width: int = 100, height: int = 16, answers: bool = True, **env: str
) -> Iterator[Terminal]:
    argv = [sys.executable, "-W", "error", "-m", "tests.terminal.runner", *arguments]
    with terminal(argv, terminal_env(**env), width, height, answers=answers) as shown:
        yield shown


def assert_restored(shown: Terminal) -> None:
    tail = shown.raw[shown.raw.rindex(b"\x1b[?1049l") - 200 :]
    assert all(sequence in tail for sequence in LEFT)
    assert b"\x1b[?1049h" not in shown.raw[shown.raw.rindex(b"\x1b[?1049l") :]
    assert shown.is_cooked


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_quitting_restores_the_terminal(key: str) -> None:
    with table() as shown:
        shown.wait_for(ROW)
        assert not shown.is_cooked
        assert shown.cursor is None
        shown.keys(key)
        assert shown.wait_for_exit() == 0
        assert_restored(shown)
        assert b"Traceback" not in shown.raw


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_as_a_key_does(number: signal.Signals) -> None:
    with table() as shown:
        shown.wait_for(ROW)
        shown.signal(number)
        assert shown.wait_for_exit() == 0
        assert_restored(shown)


def test_a_closed_terminal_ends_it_without_an_error() -> None:
    with table() as shown:
        shown.wait_for(ROW)
        shown.hang_up()
        assert shown.process.wait(15) == 0


def test_a_bug_is_shown_on_the_restored_terminal() -> None:
    with table("--crash") as shown:
        shown.wait_for(ROW)
        shown.keys("r")
        assert shown.wait_for_exit() == 1
        assert_restored(shown)
        after = shown.raw[shown.raw.rindex(b"\x1b[?1049l") :]
        assert b"RuntimeError: a bug in the executor" in after


def test_a_terminal_that_answers_nothing_is_asked_nothing() -> None:
    with table(answers=False) as shown:
        shown.wait_for(ROW)
        assert not any(query in shown.raw for query in (b"\x1b[6n", b"\x1bP", b"$p", b"\x1b[c"))


@pytest.mark.parametrize("term", ["xterm", "linux", "vt100", "screen-256color", "no-such-terminal"])
def test_many_kinds_of_terminal_show_it(term: str) -> None:
    with table(TERM=term) as shown:
        shown.wait_for(ROW)
        shown.keys("q")
        assert shown.wait_for_exit() == 0


@pytest.mark.parametrize("term", ["linux", "vt100", "vt220"])
def test_a_terminal_without_another_screen_gets_its_prompt_on_a_line_of_its_own(term: str) -> None:
    with table(TERM=term) as shown:
        shown.wait_for(ROW)
        shown.keys("q")
        assert shown.wait_for_exit() == 0
        assert shown.cursor == (0, len(shown.lines) - 1)
        assert shown.lines[-1] == ""
        assert ROW in shown.screen


def test_utilization_has_colours_and_without_them_nothing_is_lost() -> None:
    with table() as coloured:
        coloured.wait_for("100%")
        assert coloured.colours("100%") != coloured.colours(" 42%")
        with table(NO_COLOR="1") as plain:
            plain.wait_for("100%")
            assert plain.colours("100%") == plain.colours("user@work.com") == {"default"}
            assert [line[:60].replace("░", " ") for line in plain.lines[1:5]] == [
                line[:60] for line in coloured.lines[1:5]
            ]


def test_the_mouse_selects_and_scrolls_and_a_second_click_opens_the_details() -> None:
    with table() as shown:
        shown.wait_for(ROW)
        shown.wait_for_raw(b"\x1b[?1006h")
        shown.keys("\x1b[<0;20;5M\x1b[<0;20;5m")
        shown.wait_for(">3 | user@client.com")
        shown.keys("\x1b[<64;20;5M")
        shown.wait_for(">2 | user@work.com")
        shown.keys("\x1b[<0;20;4M")
        shown.wait_for("─ user@work.com ─")
        shown.keys("q")
        assert shown.wait_for_exit() == 0
        assert b"\x1b[?1000l" in shown.raw


def test_a_light_ground_is_found_by_the_terminals_answer_or_its_environment() -> None:
    with table() as dark, table(COLORFGBG="0;15") as light:
        dark.wait_for("100%")
        dark.wait_for_raw(b"\x1b]11;?\x1b\\")
        light.wait_for("100%")
        before, wanted = dark.colours("100%"), light.colours("100%")
        assert before != wanted
        dark.keys("\x1b]11;rgb:ffff/ffff/ffff\x1b\\")
        wait_until(lambda: dark.read(0.05) is None or dark.colours("100%") == wanted, "new colours")


def test_the_settings_can_ask_for_plain_characters_and_for_a_theme() -> None:
    with table("--ascii", "--theme", "light") as shown, table(COLORFGBG="0;15") as light:
        text = shown.wait_for("100%")
        assert "#####" in text
        assert text.isascii()
        light.wait_for("100%")
        assert shown.colours("100%") == light.colours("100%")


def test_the_countdown_ticks_while_nothing_changes() -> None:
    with table() as shown:
        shown.wait_for("37m 58s")
        shown.wait_for("37m 57s")
        shown.wait_for("37m 56s")


def test_a_resize_and_back() -> None:
    with table() as shown:
        shown.wait_for("5h Bar")
        shown.resize(20, 4)
        text = shown.wait_for("? help  q quit")
        assert "> user@pers… *←  42%" in text
        shown.resize(100, 16)
        assert ROW in shown.wait_for("5h Bar")


def test_a_paste_goes_into_the_dialog_and_nowhere_else(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    with table("--calls", str(calls)) as shown:
        shown.wait_for(ROW)
        shown.wait_for_raw(b"\x1b[?2004h")
        shown.paste("rid\nq")
        shown.keys("a")
        shown.wait_for("Add an account")
        shown.paste("日本@example.jp\n")
        shown.wait_for("日")
        shown.keys("\t")
        shown.paste("sk-ant-sid01-" + "x" * 90)
        shown.wait_for("•••")
        shown.keys("\torg-1\r")
        shown.wait_for("Added")
        assert calls.read_text() == "add 日本@example.jp 103 org-1\n"
        assert b"sk-ant" not in shown.raw


def test_a_refused_save_keeps_the_dialog() -> None:
    with table() as shown:
        shown.wait_for(ROW)
        shown.keys("a")
        shown.wait_for("Add an account")
        shown.keys("locked\tkey\torg\r")
        text = shown.wait_for("The keyring is locked")
        assert "locked" in text
        assert shown.cursor is not None
        shown.keys("\x1b")
        shown.wait_until_gone("Add an account")


def beats(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


def unread_for(seconds: float) -> None:
    """A terminal that is not read for some time is what is being tested."""
    time.sleep(seconds)


def test_a_stalled_terminal_does_not_stop_the_loop_and_then_shows_the_newest_state(
    tmp_path: Path,
) -> None:
    heart = tmp_path / "heart"
    with table("--busy", "--heartbeat", str(heart), "twenty", width=120, height=40) as shown:
        shown.wait_for("user20@example.com")
        unread_for(1)
        before = beats(heart)
        wait_until(lambda: beats(heart) - before >= 10, "ten beats with nobody reading")
        shown.wait_for("Xxxx")
        shown.keys("q")
        assert shown.wait_for_exit() == 0
        assert_restored(shown)


def test_a_stalled_terminal_cannot_keep_it_from_ending() -> None:
    with table("--busy", "twenty", width=120, height=40) as shown:
        shown.wait_for("user20@example.com")
        unread_for(2)
        shown.signal(signal.SIGTERM)
        assert shown.process.wait(15) == 0
        assert shown.is_cooked
