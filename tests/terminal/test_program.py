"""The running table on a pseudo-terminal, in this process and on a clock turned by hand."""

import asyncio
import base64
import os
import pty
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pyte
import pytest

from monitor.core.alerts.rules import Alert, AlertKind, Override
from monitor.core.commands import (
    AddAccount,
    Command,
    EditAccount,
    ImportLogins,
    Refresh,
    RemoveAccount,
    ToggleMute,
)
from monitor.core.errors import ChannelError, TrackerError
from monitor.core.events import LoginSeen
from monitor.core.model import Secret
from monitor.core.state import LoggedAlert, State
from monitor.store import Store
from monitor.terminal.frame import Footer
from monitor.terminal.program import Program
from monitor.terminal.tty import Tty
from tests.builders import NOW
from tests.fakes import FakeClock, settle
from tests.real.pty import resized
from tests.terminal.factories import STATES


class FakeExecutor:
    """Writes down the commands; `answer` may hold an answer back, or fail."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.answer: Callable[[], Awaitable[str]] = self.at_once

    async def at_once(self) -> str:
        match self.commands[-1]:
            case ToggleMute():
                return "Muted"
            case Refresh():
                return "Refreshing"
        return "All done"

    async def execute(self, command: Command) -> str:
        self.commands.append(command)
        return await self.answer()


class Table:
    """A running table, its store, clock and executor, and the terminal's side of its pty."""

    @classmethod
    async def start(cls, state: State, width: int, height: int) -> "Table":
        table = cls(state, width, height)
        tty = await Tty.open(os.ttyname(table.slave))
        program = Program(
            table.store,
            table.clock,
            table.executor.execute,
            tty,
            lambda: Footer(table.footer, is_problem=True),
        )
        table.program = program
        table.run = asyncio.ensure_future(program.run())
        return table

    def __init__(self, state: State, width: int, height: int) -> None:
        self.clock = FakeClock()
        self.store = Store(state)
        self.executor = FakeExecutor()
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        resized(self.master, width, height)
        self._display = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._display)
        self.footer = "a footer"
        self.program: Program
        self.run: asyncio.Future[None]

    def read(self) -> bytes:
        data = b""
        with suppress(BlockingIOError):
            while piece := os.read(self.master, 65536):
                data += piece
        self._stream.feed(data)
        return data

    @property
    def screen(self) -> str:
        self.read()
        return "\n".join(str(line).rstrip() for line in self._display.display)

    async def press(self, *keys: str) -> None:
        """Each key by itself, as they are typed."""
        for key in keys:
            os.write(self.master, key.encode())
            await self.settled()

    async def settled(self) -> None:
        await asyncio.sleep(
            0.01
        )  # what is written reaches the other side of the pty by way of the kernel
        await settle()

    async def shows(self, text: str) -> str:
        """Wait until the text is on the screen."""
        await until(lambda: text in self.screen, lambda: f"{text!r} on the screen:\n{self.screen}")
        return self.screen

    async def ends(self) -> None:
        """Wait until the table has ended; raises what it raised."""
        async with asyncio.timeout(10):
            await self.run

    def resize(self, width: int, height: int) -> None:
        self._display.resize(height, width)
        resized(self.master, width, height)


async def until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for what becomes true by way of the kernel."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what())


@asynccontextmanager
async def table(
    state: str | State = "three", width: int = 100, height: int = 16
) -> AsyncIterator[Table]:
    shown = await Table.start(
        STATES[state](NOW) if isinstance(state, str) else state, width, height
    )
    try:
        await shown.settled()
        yield shown
    finally:
        shown.run.cancel()
        await asyncio.gather(shown.run, return_exceptions=True)
        os.close(shown.master)
        os.close(shown.slave)


async def test_the_countdown_ticks_without_any_change_of_the_state() -> None:
    async with table() as shown:
        await shown.shows("38m 00s")
        await shown.clock.advance(1)
        text = await shown.shows("37m 59s")
        assert "Last refresh: 13s ago" in text
        await shown.clock.advance(1)
        await shown.shows("37m 58s")


async def test_a_second_costs_a_few_lines_and_never_a_cleared_screen() -> None:
    async with table() as shown:
        await shown.shows("38m 00s")
        await shown.clock.advance(1)
        await shown.settled()
        data = shown.read()
        assert 0 < len(data) < 1500
        assert b"\x1b[2J" not in data


async def test_a_change_of_the_state_is_drawn_at_once() -> None:
    async with table() as shown:
        shown.store.dispatch(LoginSeen(NOW, "user@client.com"))
        await shown.settled()
        assert shown.screen.splitlines()[4].endswith("| Logged In")


async def test_a_frozen_countdown_is_impossible_after_the_clock_was_set_on() -> None:
    async with table() as shown:
        await shown.shows("38m 00s")
        shown.clock.step(timedelta(minutes=20))
        await shown.clock.advance(1)
        await shown.shows("17m 59s")


async def test_refresh_asks_for_all_accounts_or_one() -> None:
    async with table() as shown:
        await shown.press("r", "j", "R")
        assert shown.executor.commands == [Refresh(), Refresh("user@work.com")]
        await shown.shows("Refreshing")


async def test_keys_pressed_while_a_refresh_is_unanswered_are_neither_lost_nor_held_up() -> None:
    async with table() as shown:
        answers: list[asyncio.Future[str]] = [
            asyncio.get_running_loop().create_future() for _ in "rmr"
        ]
        waiting = iter(answers)
        shown.executor.answer = lambda: next(waiting)
        await shown.press("r", "m", "j", "R")
        await shown.shows(">2 | user@work.com")
        await shown.shows("Refreshing user@work.com…")
        asked = [Refresh(), ToggleMute(), Refresh("user@work.com")]
        assert shown.executor.commands == asked
        for answer, text in zip(answers, ("3 refreshed", "Muted", "1 refreshed"), strict=True):
            answer.set_result(text)
            await shown.shows(text)


async def test_a_refresh_that_fails_is_shown_and_the_next_one_is_sent() -> None:
    async def failing() -> str:
        raise TrackerError("the running monitor does not answer")

    async with table() as shown:
        shown.executor.answer = failing
        await shown.press("r")
        await shown.shows("the running monitor does not answer")
        shown.executor.answer = shown.executor.at_once
        await shown.press("m")
        await shown.shows("Muted")


async def test_an_unanswered_refresh_keeps_no_one_from_importing() -> None:
    async with table() as shown:
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        shown.executor.answer = lambda: never
        await shown.press("r")
        shown.executor.answer = shown.executor.at_once
        await shown.press("i")
        await shown.shows("All done")
        never.set_result("Refreshing")


async def test_a_footer_that_changes_is_shown_with_the_next_second() -> None:
    async with table() as shown:
        await shown.shows("a footer")
        shown.footer = "this process polls now"
        await shown.clock.advance(1)
        await shown.shows("this process polls now")


async def test_the_screen_lives_on_while_an_import_takes_its_time() -> None:
    async with table() as shown:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        shown.executor.answer = lambda: answer
        await shown.press("i")
        await shown.shows("Importing…")
        await shown.press("j")
        await shown.clock.advance(1)
        text = await shown.shows("37m 59s")
        assert ">2 | user@work.com" in text
        answer.set_result("Imported user@new.com")
        await shown.shows("Imported user@new.com")
        assert shown.executor.commands == [ImportLogins(brief=True)]


async def test_an_expected_failure_is_shown_and_the_table_goes_on() -> None:
    async def failing() -> str:
        raise TrackerError("No login of Claude Code was found")

    async with table() as shown:
        shown.executor.answer = failing
        await shown.press("i")
        await shown.shows("No login of Claude Code was found")
        shown.executor.answer = shown.executor.at_once
        await shown.press("r")
        await shown.shows("Refreshing")


async def test_an_account_is_added_through_the_dialog_and_its_key_is_never_shown() -> None:
    async with table() as shown:
        await shown.press("a", "new@web.com", "\t", "\x1b[200~sk-ant-sid01-secret\n\x1b[201~")
        text = await shown.shows("••••••")
        assert "sk-ant" not in text
        await shown.press("\t", "org-9", "\r")
        await shown.shows("All done")
        secret = Secret("sk-ant-sid01-secret")
        assert shown.executor.commands == [AddAccount("new@web.com", secret, "org-9")]
        assert "Add an account" not in shown.screen


async def test_a_dialog_that_could_not_be_saved_says_why_and_stays() -> None:
    async def locked() -> str:
        raise TrackerError("The keyring is locked: unlock it")

    async with table() as shown:
        shown.executor.answer = locked
        await shown.press("e", "\x15", "renamed", "\r")
        text = await shown.shows("The keyring is locked: unlock it")
        assert "renamed" in text
        org_id = STATES["three"](NOW).accounts["user@personal.com"].account.org_id
        edited = EditAccount("user@personal.com", "renamed", org_id, None, "", Override(), 0)
        assert shown.executor.commands == [edited]


async def test_an_account_is_deleted_after_a_yes() -> None:
    async with table() as shown:
        await shown.press("j", "d")
        await shown.shows("user@work.com is no longer watched")
        await shown.press("n", "d", "y")
        await shown.shows("All done")
        assert shown.executor.commands == [RemoveAccount("user@work.com")]


async def test_a_lone_escape_closes_a_dialog() -> None:
    async with table() as shown:
        await shown.press("a")
        await shown.shows("Add an account")
        await shown.press("\x1b")
        await until(lambda: "Add an account" not in shown.screen, lambda: shown.screen)


async def test_answers_to_queries_and_bytes_that_are_no_text_are_no_keys() -> None:
    async with table() as shown:
        os.write(shown.master, b"\x1b[12;40R\x1bP1+r544e=78\x1b\\\x1b[<0;1;1M\xff\xc3(\x1b[I")
        await shown.press("r")
        assert shown.executor.commands == [Refresh()]
        assert not shown.run.done()


async def test_the_terminal_is_left_as_it_was_found() -> None:
    async with table() as shown:
        await shown.press("q")
        await shown.ends()
        data = shown.read()
        for sequence in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[?7h"):
            assert sequence in data


async def test_a_bug_in_the_executor_comes_out_once_the_terminal_is_restored() -> None:
    async def broken() -> str:
        raise ZeroDivisionError("a bug")

    async with table() as shown:
        shown.executor.answer = broken
        await shown.press("i")
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await shown.ends()
        assert b"\x1b[?1049l" in shown.read()


async def test_a_cancelled_run_restores_the_terminal() -> None:
    async with table() as shown:
        shown.run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shown.run
        assert b"\x1b[?1049l" in shown.read()


async def test_what_was_asked_for_is_finished_before_leaving() -> None:
    finished = []

    async def slow() -> str:
        await asyncio.sleep(0.05)
        finished.append(True)
        return "Saved"

    async with table() as shown:
        shown.executor.answer = slow
        await shown.press("s", "q")
        await shown.ends()
    assert finished == [True]


async def test_a_terminal_that_does_not_read_holds_nothing_up_and_then_gets_the_newest_frame() -> (
    None
):
    async with table("twenty", 120, 40) as shown:
        await shown.shows("user20@example.com")
        await shown.clock.advance(600)  # far more than a pty holds, and nobody reads
        assert "10m ago" not in shown.screen
        await shown.settled()
        await shown.clock.advance(1)
        await shown.shows("Last refresh: 10m ago")


async def test_a_closed_terminal_ends_the_run() -> None:
    async with table() as shown:
        os.close(shown.master)
        try:
            await shown.ends()
        finally:
            shown.master, spare = pty.openpty()
            os.close(spare)


async def test_a_resize_is_drawn_at_the_new_size() -> None:
    async with table() as shown:
        await shown.shows("5h Bar")
        shown.resize(20, 4)
        await shown.clock.advance(1)
        await shown.shows("? help  q quit")
        shown.resize(100, 16)
        await shown.clock.advance(1)
        await shown.shows("5h Bar")


FIRED = Alert(AlertKind.THRESHOLD, "user@work.com", "5h", NOW, 0.97, 0.95)


def fired() -> State:
    return replace(STATES["three"](NOW), log=(LoggedAlert(FIRED, NOW),))


async def test_an_alert_is_sent_once_its_text_stands_on_the_screen() -> None:
    async with table(fired()) as shown:
        await shown.shows("user@client.com")
        await shown.program.show([FIRED], b"\a")
        data = shown.read()
        assert data.endswith(b"\a")
        assert "⚠ user@work.com 5h passed 95%" in shown.screen


async def test_an_alert_that_is_sent_late_is_shown_as_if_it_were_new() -> None:
    async with table(fired()) as shown:
        await shown.clock.advance(31)
        await shown.shows("Last refresh: 43s ago")
        assert "passed 95%" not in shown.screen
        await shown.program.show([FIRED], b"\a")
        await shown.shows("⚠ user@work.com 5h passed 95%")


async def test_an_alert_is_not_sent_where_nobody_can_see_it() -> None:
    async with table(fired()) as shown:
        await shown.shows("user@client.com")
        with pytest.raises(ChannelError, match="not on a screen"):
            await shown.program.show([replace(FIRED, account="another")], b"\a")
        await shown.press("q")
        await shown.ends()
        shown.read()
        with pytest.raises(ChannelError, match="not on a screen"):
            await shown.program.show([FIRED], b"\a")
        assert b"\a" not in shown.read()


async def test_an_alert_is_not_sent_to_a_terminal_that_takes_nothing() -> None:
    async with table(
        replace(STATES["hundred"](NOW), log=(LoggedAlert(FIRED, NOW),)), 200, 60
    ) as shown:
        await shown.clock.advance(600)  # far more than a pty holds, and nobody reads
        with pytest.raises(ChannelError, match="takes no output"):
            await shown.program.show([FIRED], b"\a")
        shown.read()


async def test_the_title_of_the_window_is_the_worst_figure_and_is_written_when_it_changes() -> None:
    async with table() as shown:
        await shown.settled()
        assert b"\x1b]2;100% user@client.com 5h" in shown.read()
        await shown.clock.advance(1)
        assert b"\x1b]2;" not in shown.read()


async def test_what_is_copied_goes_to_the_terminal_s_clipboard() -> None:
    state = STATES["three"](NOW)
    one = replace(state.accounts["user@personal.com"], config_dir="/home/me/.claude-x")
    async with table(
        replace(state, accounts={**state.accounts, "user@personal.com": one})
    ) as shown:
        await shown.press("c")
        data = shown.read()
        (copied,) = re.findall(rb"\x1b]52;c;([^\x1b]+)\x1b", data)
        assert base64.b64decode(copied) == b"CLAUDE_CONFIG_DIR=/home/me/.claude-x claude"
        await shown.shows("Copied: CLAUDE_CONFIG_DIR=/home/me/.claude-x claude")
