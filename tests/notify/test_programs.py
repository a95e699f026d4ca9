"""The channels that run another program, against stand-ins which write down what they were given."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError
from monitor.notify.channels.desktop import Osascript, TerminalNotifier
from tests.builders import NOW
from tests.real.bus import wait_until

ALERT = Alert(AlertKind.TEST, "a", "5h", NOW)
TRICKY = Message('-e "$(id)" `id`', "(x \\ 'y'")

Make = type[TerminalNotifier] | type[Osascript]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script on PATH under the name of each program, and returns its path."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OUT", str(tmp_path / "out"))

    def make(script: str) -> Path:
        path = tmp_path / "osascript"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        (tmp_path / "terminal-notifier").symlink_to(path)
        return path

    return make


def _given(tmp_path: Path) -> list[str]:
    return (tmp_path / "out").read_text().split("\0")[:-1]


PRINT_ARGUMENTS = r'printf "%s\0" "$@" > "$OUT"'


async def test_osascript_gets_the_text_as_arguments_and_not_in_the_script(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    program(PRINT_ARGUMENTS)
    await Osascript().send(TRICKY, [ALERT])
    *script, name, title, body = _given(tmp_path)
    assert script == [
        "-e", "on run a",
        "-e", "display notification (item 3 of a) with title (item 1 of a) subtitle (item 2 of a)",
        "-e", "end run",
    ]  # fmt: skip
    assert (name, title, body) == ("Claude Tracker", TRICKY.title, TRICKY.body)


async def test_terminal_notifier_gets_values_that_it_cannot_mistake(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    program(PRINT_ARGUMENTS)
    await TerminalNotifier().send(TRICKY, [ALERT])
    assert _given(tmp_path) == ["-title", f"\\{TRICKY.title}", "-message", f"\\{TRICKY.body}"]


@pytest.mark.parametrize("make", [TerminalNotifier, Osascript])
async def test_a_program_that_is_not_installed_is_a_failure(make: Make) -> None:
    with pytest.raises(ChannelError, match=f"{make.name} is not on PATH") as failure:
        await make().send(TRICKY, [ALERT])
    assert failure.value.reason == "unavailable"


@pytest.mark.parametrize("make", [TerminalNotifier, Osascript])
async def test_a_program_that_fails_is_a_failure_with_its_words(
    make: Make, program: Callable[[str], Path]
) -> None:
    program("echo not >&2; echo allowed >&2; exit 3")
    with pytest.raises(ChannelError, match=f"{make.name} ended with 3: not allowed") as failure:
        await make().send(TRICKY, [ALERT])
    assert failure.value.reason == "error"


async def test_a_file_that_is_no_program_is_a_failure(program: Callable[[str], Path]) -> None:
    program("").write_text("#!/no/such/interpreter\n")
    with pytest.raises(ChannelError) as failure:
        await Osascript().send(TRICKY, [ALERT])
    assert failure.value.reason == "unavailable"


HANGS = 'sleep 300 & echo $! > "$OUT"; wait'


async def test_a_program_that_hangs_is_ended_with_what_it_started(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    program(HANGS)
    channel = Osascript()
    channel.limit_secs = 1
    with pytest.raises(ChannelError, match="took longer than 1 s") as failure:
        await channel.send(TRICKY, [ALERT])
    assert failure.value.reason == "timeout"
    wait_until(lambda: _is_gone(tmp_path / "out"), "the end of its child")


async def test_a_program_is_ended_when_the_telling_is_interrupted(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    program(HANGS)
    telling = asyncio.create_task(TerminalNotifier().send(TRICKY, [ALERT]))
    await asyncio.to_thread(wait_until, lambda: _is_written(tmp_path / "out"), "its start")
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    wait_until(lambda: _is_gone(tmp_path / "out"), "the end of its child")


def _is_written(pid: Path) -> bool:
    return pid.exists() and pid.read_text().endswith("\n")


def _is_gone(pid: Path) -> bool:
    """Ended, though perhaps not reaped by whoever inherited it."""
    status = Path("/proc") / pid.read_text().strip() / "stat"
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
