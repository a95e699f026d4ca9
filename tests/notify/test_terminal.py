import errno
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import pytest

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.channels.terminal import Bell, Show, Terminal, render_notification
from tests.builders import NOW
from tests.real.bus import wait_until
from tests.real.need import need
from tests.real.pty import terminal, terminal_env
from tests.real.tmux import tmux

ALERT = Alert(AlertKind.TEST, "a", "5h", NOW)
MESSAGE = Message("u;ser: 5h at 87%", "Passed 80%.")

OSC_9 = "\x1b]9;u,ser: 5h at 87%. Passed 80%.\x1b\\"
OSC_777 = "\x1b]777;notify;u,ser: 5h at 87%;Passed 80%.\x1b\\"
ID = f"{crc32(b'u,ser: 5h at 87%;Passed 80%.'):x}"
OSC_99 = f"\x1b]99;i={ID}:d=0:u=1;u,ser: 5h at 87%\x1b\\\x1b]99;i={ID}:p=body;Passed 80%.\x1b\\"


def in_tmux(sequence: str) -> str:
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\\a"


@pytest.mark.parametrize(
    ("environ", "sequence"),
    [
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, OSC_9),
        ({"LC_TERMINAL": "iTerm2", "TERM": "xterm-256color"}, OSC_9),
        ({"TERM_PROGRAM": "WezTerm", "TERM": "xterm-256color"}, OSC_777),
        ({"TERM_PROGRAM": "ghostty", "TERM": "xterm-ghostty"}, OSC_777),
        ({"TERM": "foot"}, OSC_777),
        ({"TERM": "rxvt-unicode-256color"}, OSC_777),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, OSC_777),
        ({"TERM": "xterm-kitty"}, OSC_99),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, OSC_99),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, in_tmux(OSC_99)),
        ({"TERM": "screen", "TMUX": "x", "ITERM_SESSION_ID": "1"}, in_tmux(OSC_9)),
        ({"TERM": "screen", "STY": "1.pts", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "tmux-256color", "TMUX": "x", "TERM_PROGRAM": "tmux"}, None),
        ({"TERM_PROGRAM": "Apple_Terminal", "TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({}, None),
    ],
)
def test_each_terminal_gets_the_sequence_that_it_knows(
    environ: Mapping[str, str], sequence: str | None
) -> None:
    assert render_notification(MESSAGE, environ) == sequence


def test_the_lines_of_a_summary_are_one_line_here() -> None:
    sequence = render_notification(Message("2 alerts", "one\ntwo"), {"TERM": "foot"})
    assert sequence == "\x1b]777;notify;2 alerts;one · two\x1b\\"


def test_kitty_is_told_how_urgent_it_is_and_keeps_two_alerts_apart() -> None:
    calm = render_notification(Message("a", "b", Urgency.LOW), {"TERM": "xterm-kitty"})
    urgent = render_notification(Message("a", "c", Urgency.CRITICAL), {"TERM": "xterm-kitty"})
    assert calm is not None
    assert urgent is not None
    assert (":u=0;a" in calm, ":u=2;a" in urgent) == (True, True)
    assert calm.split(":")[0] != urgent.split(":")[0]


class FakeTable:
    """A table that shows each alert, or (`error`) cannot."""

    def __init__(self, error: Exception | None = None) -> None:
        self.shown: list[tuple[list[Alert], bytes]] = []
        self._error = error

    async def show(self, alerts: Sequence[Alert], sequence: bytes) -> None:
        if self._error is not None:
            raise self._error
        self.shown.append(([*alerts], sequence))


async def test_the_sequence_goes_to_the_table_with_its_alerts() -> None:
    table = FakeTable()
    await Terminal(table.show, {"TERM": "foot"}).send(MESSAGE, [ALERT])
    assert table.shown == [([ALERT], OSC_777.encode())]


async def test_a_terminal_that_shows_no_notifications_is_a_failure() -> None:
    table = FakeTable()
    with pytest.raises(ChannelError, match="not known to show") as failure:
        await Terminal(table.show, {"TERM": "xterm"}).send(MESSAGE, [ALERT])
    assert (failure.value.reason, table.shown) == ("no_capability", [])


async def test_the_bell_is_one_byte() -> None:
    table = FakeTable()
    await Bell(table.show).send(MESSAGE, [ALERT])
    assert table.shown == [([ALERT], b"\a")]


@pytest.mark.parametrize("make", [Bell, lambda show: Terminal(show, {"TERM": "foot"})])
async def test_what_no_screen_shows_is_not_sent(make: Callable[[Show], Bell | Terminal]) -> None:
    hidden = FakeTable(ChannelError(ChannelReason.UNAVAILABLE, "the table is not on a screen"))
    with pytest.raises(ChannelError, match="not on a screen"):
        await make(hidden.show).send(MESSAGE, [ALERT])


GONE = FakeTable(OSError(errno.EIO, "Input/output error")).show


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        (Bell(None), "there is no terminal here"),
        (Terminal(None, {"TERM": "foot"}), "there is no terminal here"),
        (Bell(GONE), "the terminal is gone: Input/output error"),
        (Terminal(GONE, {"TERM": "foot"}), "the terminal is gone"),
    ],
)
async def test_without_a_terminal_nothing_is_told(channel: Bell | Terminal, words: str) -> None:
    with pytest.raises(ChannelError, match=words) as failure:
        await channel.send(MESSAGE, [ALERT])
    assert failure.value.reason == "unavailable"


PROGRAM = """
import asyncio, os, time
from datetime import UTC, datetime
from monitor.notify.channels.terminal import Terminal
from monitor.core.alerts.text import format_alerts
from monitor.core.alerts.rules import Alert, AlertKind
alert = Alert(AlertKind.TEST, "a", "5h", datetime.now(UTC))
async def show(alerts, sequence):
    os.write(1, sequence)
asyncio.run(Terminal(show, os.environ).send(format_alerts([alert]), [alert]))
print("written", flush=True)
time.sleep(60)
"""
ARGV = [sys.executable, "-c", PROGRAM]


def test_tmux_hands_the_notification_to_the_terminal_outside(tmp_path: Path) -> None:
    need("tmux")
    config = tmp_path / "tmux.conf"
    config.write_text("set -g allow-passthrough on\n")
    env = terminal_env(TMUX_TMPDIR=str(tmp_path), WEZTERM_PANE="0")
    argv = ["tmux", "-f", str(config), "new-session", *ARGV]
    with terminal(argv, env) as outside:
        outside.wait_for_raw(b"\x1b]777;notify;Claude Tracker: test;If you can read this")
        outside.wait_for("written")
        subprocess.run(["tmux", "kill-server"], env=env, check=True)
        outside.wait_for_exit()


def test_a_tmux_without_passthrough_marks_the_window_by_a_bell() -> None:
    with tmux(["sleep", "60"]) as session:
        session.tmux("new-window", "-d", "-t", "t:1", "-e", "WEZTERM_PANE=0", *ARGV)

        def is_marked() -> bool:
            flag = session.tmux("display-message", "-p", "-t", "t:1", "#{window_bell_flag}")
            return flag.strip() == "1"

        wait_until(is_marked, "the bell")
