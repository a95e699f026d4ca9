"""The table in a real terminal multiplexer, under a real shell."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.bus import wait_until
from tests.real.tmux import Tmux, tmux

RUNNER = [sys.executable, "-m", "tests.terminal.runner"]
ROW = ">1 | user@personal.com *←"


@contextmanager
def table(*arguments: str, width: int = 100, height: int = 16) -> Iterator[Tmux]:
    with tmux([*RUNNER, *arguments], width, height) as shown:
        yield shown


def screen_state(shown: Tmux) -> str:
    """Whether the alternate screen is on, and whether the cursor is to be seen."""
    return shown.format("#{alternate_on} #{cursor_flag}")


def test_the_table_is_shown_and_left() -> None:
    with table() as shown:
        text = shown.wait_for(ROW)
        assert "|  42% | ████▎      | 2h 1" in text
        assert screen_state(shown) == "1 0"
        shown.keys("j", "Space")
        assert "Token expires" not in shown.wait_for("─ user@work.com ─")
        shown.keys("q")
        wait_until(lambda: shown.format("#{pane_dead}") == "1", "the end of the program")
        assert shown.format("#{alternate_on}") == "0"


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_brings_the_table_back() -> None:
    with tmux(["bash", "--norc", "--noprofile"], 100, 16) as shown:
        shown.type(" ".join(RUNNER))
        shown.keys("Enter")
        shown.wait_for(ROW)
        shown.keys("C-z")
        shown.wait_for("Stopped")
        assert screen_state(shown) == "0 1"
        shown.type("echo still $((40 + 2))")
        shown.keys("Enter")
        shown.wait_for("still 42")
        shown.keys("f", "g", "Enter")
        shown.wait_for(ROW)
        assert screen_state(shown) == "1 0"
        shown.keys("j")
        shown.wait_for(">2 | user@work.com")
        shown.keys("q")
        wait_until(lambda: screen_state(shown) == "0 1", "the shell's screen")
        shown.type("echo code=$?; stty -a | grep -o ' echo '")
        shown.keys("Enter")
        shown.wait_for("code=0\n echo")


@pytest.mark.parametrize(
    ("width", "height", "text"),
    [(20, 4, "> user@pers… *←  42%"), (60, 12, " Status"), (120, 40, ROW), (300, 50, ROW)],
)
def test_it_is_usable_at_every_size(width: int, height: int, text: str) -> None:
    with table() as shown:
        shown.wait_for(ROW)
        shown.resize(width, height)
        shown.wait_for(text)
        wait_until(
            lambda: shown.screen().rstrip("\n").splitlines()[-1].rstrip().endswith("q quit"),
            "the keys at the bottom",
        )


def test_typing_pasting_and_going_back_in_a_dialog(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    with table("--calls", str(calls)) as shown:
        shown.wait_for(ROW)
        shown.keys("a")
        shown.wait_for("Add an account")
        assert screen_state(shown) == "1 1"
        shown.type("名前 x")
        shown.keys("BSpace", "Tab")
        shown.paste("sk-ant-sid01-secret\n")
        assert "sk-ant" not in shown.wait_for("•••")
        shown.keys("Tab")
        shown.type("org")
        shown.keys("BTab", "BTab", "Home")
        shown.type(">")
        shown.wait_for(">名前")
        shown.keys("Enter")
        shown.wait_for("Added >名前")
        assert calls.read_text() == "add >名前 19 org\n"


def test_something_else_on_the_screen_is_drawn_over_by_ctrl_l() -> None:
    with table() as shown:
        shown.wait_for(ROW)
        tty = shown.format("#{pane_tty}")
        Path(tty).write_text("\x1b[8;1Hnoise of another program")
        shown.wait_for("noise of another program")
        shown.keys("C-l")
        wait_until(lambda: "noise" not in shown.screen(), "a clean screen")
        assert ROW in shown.screen()
