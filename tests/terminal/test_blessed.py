"""Defects of blessed that the terminal view goes around: where one of these fails, its work-around can go."""

import io
import os
import pty
import subprocess
import sys
import termios

import blessed
import pytest

from tests.real.pty import terminal, terminal_env

ON_ITS_OWN_TERMINAL = """
import asyncio, contextlib, os, blessed
term = blessed.Terminal()
"""
READS_KEYS = (
    ON_ITS_OWN_TERMINAL
    + """
async def read():
    while True:
        try:
            key = await term.async_inkey()
        except UnicodeDecodeError:
            key = "undecodable"
        print("read", key, end="\\r\\n", flush=True)
with term.cbreak():
    print("ready", flush=True)
    asyncio.run(read())
"""
)
LEAVES_WHILE_STALLED = (
    ON_ITS_OWN_TERMINAL
    + """
with term.cbreak(), term.fullscreen():
    print("ready", flush=True)
    os.read(0, 1)
    fd = os.open(os.ttyname(1), os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"x")
"""
)
QUERIES = (b"\x1bP+q", b"\x1b[>q", b"\x1b[6n", b"\x1b[c")


@pytest.fixture
def term() -> blessed.Terminal:
    return blessed.Terminal(kind="xterm-256color", stream=io.StringIO(), force_styling=True)


def test_of_a_sequence_that_it_does_not_know_it_returns_the_letters_as_keys(
    term: blessed.Terminal,
) -> None:
    term.ungetch("\x1b[?62;4cq")
    keys = []
    while key := term.inkey(timeout=0):
        keys.append(str(key))
    assert keys == ["\x1b[", *"?62;4cq"]


def test_no_color_takes_the_motion_of_the_cursor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    term = blessed.Terminal(kind="xterm-256color", stream=io.StringIO(), force_styling=True)
    assert term.move_xy(1, 1) == ""


def test_a_terminal_of_eight_colours_gets_others_by_what_the_environment_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    term = blessed.Terminal(kind="xterm", stream=io.StringIO(), force_styling=True)
    assert term.color_rgb(255, 135, 0) == "\x1b[38;2;255;135;0m"


def test_an_invalid_byte_sticks_in_its_decoder() -> None:
    env = terminal_env(BLESSED_QUERY_TIMEOUT_SECONDS="0.1")
    with terminal([sys.executable, "-c", READS_KEYS], env) as shown:
        shown.wait_for("ready")
        shown.keys(b"a\xc3")
        shown.wait_for("read a")
        shown.keys(b"(")
        shown.wait_for("undecodable")
        shown.keys(b"b")
        shown.wait_for("undecodable\nread undecodable")


def test_with_a_keyboard_it_asks_a_terminal_that_may_never_answer() -> None:
    env = terminal_env(BLESSED_QUERY_TIMEOUT_SECONDS="0.1")
    with terminal([sys.executable, "-c", ON_ITS_OWN_TERMINAL], env, answers=False) as shown:
        assert shown.wait_for_exit() == 0
        assert any(query in shown.raw for query in QUERIES)


def test_leaving_its_modes_waits_for_a_stalled_terminal() -> None:
    env = terminal_env(BLESSED_QUERY_TIMEOUT_SECONDS="0.1")
    with terminal([sys.executable, "-c", LEAVES_WHILE_STALLED], env) as shown:
        shown.wait_for("ready")
        shown.keys("q")
        with pytest.raises(subprocess.TimeoutExpired):
            shown.process.wait(2)
        assert shown.wait_for_exit() == 0


def test_its_modes_are_those_of_the_standard_input_alone() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        before = termios.tcgetattr(slave)
        with blessed.Terminal(kind="xterm-256color", stream=stream).cbreak():
            assert termios.tcgetattr(slave) == before
    os.close(master)
