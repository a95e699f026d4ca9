"""What is asked over the socket is executed as the command that it is, answered from the state, or refused."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from monitor.app.execute import refresh_words
from monitor.app.leader import Leader
from monitor.app.wiring import CliOptions, RunConfig
from monitor.core.commands import (
    AddAccount,
    Command,
    Guard,
    Next,
    Refresh,
    Reload,
    Reply,
    Request,
    Status,
    WatchState,
    Who,
    encode_request,
)
from monitor.core.errors import Failure, Reason, SettingsError, TrackerError
from monitor.core.format import clock
from monitor.core.model import AccountState, Down, Secret
from monitor.core.state import State
from monitor.ipc.mirror import apply_line
from monitor.ipc.server import Stream
from monitor.system.aio import Observable
from monitor.system.clock import ServerClock
from tests.builders import NOW, after, live, state, window
from tests.fakes import FakeClock

KEY = "sk-ant-sid01-never-to-be-shown"
SHOWN = state(live("a@example.com", window("5h", 42)), live("b@example.com"))


class Handling(Leader):
    """A leader over a still state, which keeps the commands that it is given."""

    def __init__(self, home: Path) -> None:
        self.executed: list[Command] = []
        self.clock, self.view = FakeClock(), Observable(SHOWN)
        options = CliOptions(home / "config.toml", notify=False, clock=ServerClock(self.clock))
        super().__init__(options, RunConfig.read(options), self.view, str(home / "socket"))

    async def execute(self, command: Command) -> str:
        self.executed.append(command)
        if command == Refresh("nobody"):
            raise TrackerError("there is no account 'nobody'")
        return "done"

    async def asked(self, request: Request) -> Reply:
        answer = await self.answer(encode_request(request))
        assert isinstance(answer, Reply)
        return answer

    async def stream(self, request: Request) -> Stream:
        stream = await self.answer(encode_request(request))
        assert isinstance(stream, Stream)
        return stream


@pytest.fixture
def handling(tmp_path: Path) -> Handling:
    return Handling(tmp_path)


async def test_each_command_is_executed_as_it_was_sent(handling: Handling) -> None:
    sent: list[Command] = [Refresh(), Refresh("a"), Reload(), AddAccount("n", Secret(KEY), "o")]
    for command in sent:
        assert await handling.asked(command) == (0, "done\n")
    assert handling.executed == sent


@pytest.mark.parametrize("kind", get_args(Command), ids=lambda kind: kind.__name__)
async def test_no_command_is_taken_for_a_query(handling: Handling, kind: type) -> None:
    fields = {"name": "n", "new_name": "m", "session_key": KEY, "org_id": "o", "document": {}}
    await handling.answer({"type": kind.__name__, **fields})
    assert [type(command) for command in handling.executed] == [kind]


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "Dance"},
        {"type": "Refresh", "account": 3},
        {"type": "AddAccount", "name": "n", "session_key": None, "org_id": "o"},
        {"type": "AddAccount", "name": ["n"], "session_key": KEY, "org_id": "o"},
        {"type": "EditAccount", "name": "n", "new_name": "m", "session_key": KEY},
        {"type": "RemoveAccount"},
        {"type": "UseAccount", "name": {}},
        {"type": "Ingest", "document": {}, "config_dir": 1},
        {"type": "Status", "form": "rtf"},
        {"type": "Status", "columns": "wide"},
        {"type": "Status", "account": "ghost"},
        {"type": "Next", "form": 7},
        {"type": "Guard", "max_utilization": "much"},
        {"type": "Status", "watch": True, "format": "{nmae}"},
        {"type": "Status", "watch": True, "account": "nobody"},
    ],
)
async def test_what_is_not_understood_is_wrong_usage_and_repeats_no_secret(
    handling: Handling, plain: Mapping[str, Any]
) -> None:
    with pytest.raises(SettingsError) as raised:
        await handling.answer(plain)
    assert raised.value.exit_code == 2
    assert KEY not in str(raised.value)
    assert handling.executed == []


async def test_what_execution_raises_is_the_answer(handling: Handling) -> None:
    with pytest.raises(TrackerError, match="no account 'nobody'"):
        await handling.asked(Refresh("nobody"))


async def test_queries_are_answered_from_the_state(handling: Handling) -> None:
    lines = await handling.asked(Status(format="{name} {5h.percent}"))
    assert lines.text.startswith("a@example.com 42\n")
    assert (await handling.asked(Next("name"))).code == 0
    assert await handling.asked(Guard("a@example.com", "5h", 0.4)) == (4, "")
    assert json.loads((await handling.asked(Who())).text)["pid"] == os.getpid()


async def test_a_stream_of_states_sends_all_first_and_then_each_change_once(
    handling: Handling,
) -> None:
    stream = await handling.stream(WatchState())
    shown = apply_line(stream.news(), State())
    assert set(shown.accounts) == set(SHOWN.accounts)
    assert stream.news() == b""
    handling.view.show(replace(SHOWN, active=1))
    assert apply_line(stream.news(), shown).active == 1
    assert stream.news() == b""


async def test_a_stream_of_lines_is_of_one_account_or_all(handling: Handling) -> None:
    lines = await handling.stream(Status(format="{name}", account="b@example.com", watch=True))
    assert lines.news() == b"b@example.com\n"
    lines = await handling.stream(Status(format="{name}", watch=True))
    assert lines.news() == b"a@example.com\nb@example.com\n"


async def test_lines_are_made_each_second_and_sent_when_they_are_others(handling: Handling) -> None:
    lines = await handling.stream(
        Status(format="{name} {age_seconds}", account="b@example.com", watch=True)
    )
    assert lines.news()
    handling.clock.step(timedelta(seconds=0.5))
    assert lines.news() == b""
    handling.clock.step(timedelta(seconds=0.5))
    assert lines.news()
    names = await handling.stream(Status(format="{name}", watch=True))
    assert names.news()
    handling.clock.step(timedelta(seconds=60))
    assert names.news() == b""


async def test_a_document_is_sent_when_the_state_has_changed(handling: Handling) -> None:
    documents = await handling.stream(Status("json", watch=True))
    assert json.loads(documents.news())["accounts"]
    handling.clock.step(timedelta(seconds=60))
    assert documents.news() == b""
    handling.view.show(replace(SHOWN, active=1))
    assert json.loads(documents.news())["accounts"][1]["active"]


async def test_a_stream_of_an_account_that_is_removed_goes_on_without_lines(
    handling: Handling,
) -> None:
    lines = await handling.stream(Status(format="{name}", account="b@example.com", watch=True))
    assert lines.news()
    handling.view.show(state(live("a@example.com")))
    handling.clock.step(timedelta(seconds=1))
    assert lines.news() == b""
    handling.view.show(SHOWN)
    handling.clock.step(timedelta(seconds=1))
    assert lines.news() == b"b@example.com\n"


def poll(name: str, minutes: float, failures: int = 0) -> AccountState:
    """An account that was polled well a minute ago, and is due in so many minutes."""
    return live(name, next_poll_at=after(minutes=minutes), failures_in_a_row=failures)


@pytest.mark.parametrize(
    ("pairs", "account", "words"),
    [
        (
            [(poll("a", 0), replace(poll("a", 3), last_success_at=after(seconds=1)))],
            "a",
            "a refreshed",
        ),
        (
            [(poll("a", 0), replace(poll("a", 3), last_success_at=after(seconds=1)))],
            None,
            "1 refreshed",
        ),
        ([(poll("a", 0.2), poll("a", 0.2))], "a", "a: next refresh in 12s"),
        (
            [
                *[(poll("a", 0), replace(poll("a", 3), last_success_at=after(seconds=1)))] * 17,
                *[(poll("b", 5), poll("b", 5))] * 3,
            ],
            None,
            f"17 refreshed, 3 wait until {clock(after(minutes=5), NOW)}",
        ),
        ([(poll("b", 0.2), poll("b", 0.2))], None, "1 waits 12s"),
        (
            [
                (
                    poll("a", 0),
                    replace(poll("a", 3, 1), down=Down(NOW, Failure(Reason.CONNECTION))),
                )
            ],
            "a",
            "a: connection",
        ),
        ([(poll("a", 0), poll("a", 3, 1))], None, "1 failed"),
        ([], None, "no account to refresh"),
    ],
)
def test_a_refresh_says_what_came_of_it(
    pairs: list[tuple[AccountState, AccountState]], account: str | None, words: str
) -> None:
    assert refresh_words(pairs, NOW, account) == words
