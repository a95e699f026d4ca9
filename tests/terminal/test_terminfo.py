"""What a terminal can do, by the machine's database and by blessed's own descriptions."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from monitor.terminal.style import COLOURS_8, COLOURS_256, Style

SAID = """
import json, sys
from monitor.terminal.terminfo import by_blessed, capabilities, used
fd = int(sys.argv[1])
can = used(by_blessed(fd)) if sys.argv[2] == "blessed" else capabilities(fd)
said = {name: getattr(can, name) for name in can.__slots__ if name not in ("styles", "move")}
by = "blessed" if "blessed" in sys.modules else "terminfo"
json.dump({**said, **can.styles, "move": can.move(4, 3), "by": by}, sys.stdout)
"""


@pytest.fixture
def slave() -> Iterator[int]:
    ends = pty.openpty()
    yield ends[1]
    for end in ends:
        os.close(end)


def said(slave: int, term: str, *, by: str = "", **env: str) -> Mapping[str, str]:
    """What a process on this terminal says of it: the library asks for a terminal but once in a process."""
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")}
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", SAID, str(slave), by],
        env={**clean, **env, "TERM": term},
        pass_fds=[slave],
        capture_output=True,
        check=True,
    )
    return dict(json.loads(answer.stdout))


@pytest.mark.parametrize("term", ["xterm-256color", "vt100", "linux"])
def test_blessed_and_the_database_say_the_same(slave: int, term: str) -> None:
    database, blessed = said(slave, term), said(slave, term, by="blessed")
    if database["by"] == "blessed":
        pytest.skip(f"this machine's terminfo database does not know {term}")
    assert {**database, "by": ""} == {**blessed, "by": ""}


@pytest.mark.parametrize("term", ["xterm-ghostty", "no-such-terminal", "dumb"])
def test_blessed_knows_what_the_database_does_not(slave: int, term: str) -> None:
    shown = said(slave, term, by="blessed" if term == "xterm-ghostty" else "")
    assert shown["by"] == "blessed"
    assert shown["move"] == "\x1b[4;5H"
    assert shown[Style.HOT] == f"\x1b[38;5;{COLOURS_256[Style.HOT]}m"


def test_a_terminal_of_eight_colours_gets_no_other_whatever_the_environment_claims(
    slave: int,
) -> None:
    shown = said(slave, "xterm", COLORTERM="truecolor")
    assert shown[Style.HOT] == f"\x1b[3{COLOURS_8[Style.HOT]}m"
    assert shown == said(slave, "xterm", COLORTERM="truecolor", by=shown["by"])


@pytest.mark.parametrize("term", ["xterm-256color", "no-such-terminal"])
def test_no_color_takes_the_colours_and_nothing_else(slave: int, term: str) -> None:
    shown = said(slave, term, NO_COLOR="1")
    assert not any(shown[style] for style in Style)
    assert shown["move"] and shown["bold"] and shown["enter"].startswith("\x1b[?1049h")
