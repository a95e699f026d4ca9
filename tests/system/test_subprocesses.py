"""Other programs: what they say, what ends them, and whom they may leave behind."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.system.subprocesses import (
    TooMuchOutputError,
    capture_stderr,
    capture_stdout,
    describe_exit,
)
from tests.real.bus import wait_until


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Path]:
    """A file where a shell notes whom it has left behind; they are ended in the end."""
    path = tmp_path / "children"
    path.touch()
    yield path
    for pid in path.read_text().split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


async def output(script: str, limit_secs: float = 10, max_bytes: int = 1000) -> tuple[int, bytes]:
    return await capture_stdout("sh", "-c", script, limit_secs=limit_secs, max_bytes=max_bytes)


async def test_output_and_exit_code_come_back_and_complaints_are_lost() -> None:
    assert await output("echo said; echo secret >&2; exit 7") == (7, b"said\n")
    assert await output("kill -9 $$") == (-9, b"")


async def test_a_complaint_is_cut_and_the_program_goes_on() -> None:
    script = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo said; exit 3"
    code, said = await capture_stderr("sh", "-c", script, limit_secs=10)
    assert (code, len(said), set(said)) == (3, 64 * 1024, {ord("x")})


async def test_what_it_is_given_arrives_however_long_it_is() -> None:
    sound = 'test "$(wc -c)" = 1000000 && test "$SAID" = so'
    environ = {**os.environ, "SAID": "so"}
    given = b"x" * 1_000_000
    told = await capture_stderr("sh", "-c", sound, limit_secs=10, stdin=given, environ=environ)
    assert told == (0, b"")


async def test_it_need_not_read_what_it_is_given() -> None:
    assert await capture_stderr("true", limit_secs=10, stdin=b"x" * 1_000_000) == (0, b"")


async def test_a_program_that_prints_too_much_is_ended_at_once() -> None:
    with pytest.raises(TooMuchOutputError):
        await output("yes", limit_secs=60)
    assert (await output("printf 1000", max_bytes=4))[1] == b"1000"
    with pytest.raises(TooMuchOutputError):
        await output("printf 10000", max_bytes=4)


@pytest.mark.parametrize("leave", ["sleep 60 & echo $!", "setsid sleep 60 & echo $!"])
async def test_who_goes_on_with_its_pipes_is_neither_waited_for_nor_ended(
    leave: str, children: Path
) -> None:
    script = f"{leave} > {children}; echo said; echo words >&2; exit 3"
    assert await output(script) == (3, b"said\n")
    assert await capture_stderr("sh", "-c", script, limit_secs=10) == (3, b"words\n")
    given = b"x" * 1_000_000 if leave.startswith("setsid") else b""
    reading = "cat > /dev/null; " + script
    assert await capture_stderr("sh", "-c", reading, limit_secs=10, stdin=given) == (3, b"")
    assert is_alive(int(children.read_text()))


async def test_the_rest_of_a_group_is_ended_where_its_leader_has_ended(children: Path) -> None:
    """The leader is gone at once, and what it was to read is never read."""
    script = f"exec 3<&0; sleep 60 <&3 & echo $! > {children}; sleep 0.2"
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await capture_stderr("sh", "-c", script, limit_secs=1, stdin=b"x" * 1_000_000)
    assert time.monotonic() - started < 10
    await gone(int(children.read_text()))


@pytest.mark.parametrize("escape", ["", "setsid"])
async def test_who_gives_up_waiting_leaves_nothing_running(escape: str, children: Path) -> None:
    script = f"{escape} sleep 60 <&0 & echo $! > {children}; trap '' TERM; wait"
    running = asyncio.create_task(
        capture_stderr("sh", "-c", script, limit_secs=60, stdin=b"x" * 1_000_000)
    )
    await asyncio.to_thread(wait_until, lambda: bool(children.read_text()), "its start")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):
            await running
    if not escape:
        await gone(int(children.read_text()))


async def test_what_cannot_be_started_is_an_error_of_the_system() -> None:
    with pytest.raises(FileNotFoundError):
        await capture_stdout("/no/such/program", limit_secs=10)
    with pytest.raises(ValueError, match="null byte"):
        await capture_stdout("a\0b", limit_secs=10)


async def test_no_descriptor_is_left_open() -> None:
    await output("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for script in ("exit 3", "yes", "sleep 60"):
        try:
            await output(script, limit_secs=0.2)
        except (TooMuchOutputError, TimeoutError):
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_exit_code_in_words() -> None:
    assert (describe_exit(3), describe_exit(-9)) == ("ended with 3", "was ended by signal 9")


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def gone(pid: int) -> None:
    await asyncio.to_thread(wait_until, lambda: not is_alive(pid), "the end of its child")
