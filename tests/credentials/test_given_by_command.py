"""The token command: when it is run, what may come of it, and that nothing of it is left running or told."""

import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.errors import Cause, CredentialError, Reason
from monitor.core.model import Credential, Secret
from monitor.credentials.programs import TokenCommand
from tests.builders import NOW
from tests.fakes import FakeClock

TOKEN = "sk-ant-oat01-abc"
OTHER = "sk-ant-oat01-other"


class Program:
    """A program that notes that it ran, and then does as it is told."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self._folder = folder
        self.path = folder / "token tool"
        self.prints(TOKEN)

    def does(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\necho >> {self._folder}/runs\n{script}\n")
        self.path.chmod(0o700)

    def prints(self, text: str) -> None:
        (self._folder / "text").write_text(text)
        self.does(f"cat {self._folder}/text")

    def runs(self) -> int:
        log = self._folder / "runs"
        return len(log.read_text()) if log.exists() else 0

    def command(self, *arguments: str, limit_secs: float = 10.0) -> TokenCommand:
        return TokenCommand((str(self.path), *arguments), self.clock, limit_secs=limit_secs)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


async def failure(command: TokenCommand, rejected: Credential | None = None) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        await command.read(rejected)
    error = caught.value
    assert "\n" not in str(error) and error.__context__ is None
    return error


PRINTED = [
    TOKEN,
    f"\n  {TOKEN}  \nlogin: alice\n",
    json.dumps({"claudeAiOauth": {"accessToken": TOKEN, "refreshToken": "r"}}, indent=1),
    json.dumps({"access_token": TOKEN}),
]


@pytest.mark.parametrize("text", PRINTED)
async def test_the_first_line_is_the_token_or_all_of_it_is_json(
    program: Program, text: str
) -> None:
    program.prints(text)
    assert await program.command().read() == Credential(Secret(TOKEN))


async def test_arguments_are_given_as_they_are_and_to_no_shell(program: Program) -> None:
    program.does('printf "%s" "$1"')
    credential = await program.command("$HOME;`id`").read()
    assert credential.secret == Secret("$HOME;`id`")


async def test_it_has_no_input_and_no_terminal_to_ask_on(program: Program) -> None:
    program.does(f"cat; [ $(cut -d' ' -f6 /proc/self/stat) = $$ ] && echo {TOKEN}")
    assert (await program.command().read()).secret == Secret(TOKEN)


async def test_it_is_run_once_while_the_token_works(program: Program) -> None:
    command = program.command()
    await asyncio.gather(*(command.read() for _ in range(5)))
    await program.clock.advance(7200, tick=7200)
    await command.read()
    assert program.runs() == 1


async def test_it_is_run_again_for_a_refused_token(program: Program) -> None:
    command = program.command()
    refused = await command.read()
    program.prints(OTHER)
    await program.clock.advance(60, tick=60)
    assert (await command.read(refused)).secret == Secret(OTHER)
    assert (await command.read(refused)).secret == Secret(OTHER)
    assert program.runs() == 2


async def test_it_is_run_again_for_a_dead_token(program: Program) -> None:
    ends = NOW + timedelta(hours=1)
    program.prints(json.dumps({"accessToken": TOKEN, "expiresAt": ends.timestamp() * 1000}))
    command = program.command()
    assert (await command.read()).expires_at == ends
    program.prints(OTHER)
    await program.clock.advance(3541, tick=3541)
    assert (await command.read()).secret == Secret(OTHER)


async def test_the_same_refused_token_again_is_an_error_and_asked_for_once_a_minute(
    program: Program,
) -> None:
    command = program.command()
    refused = await command.read()
    for _ in range(3):
        error = await failure(command, refused)
        assert (error.reason, error.cause) == (Reason.AUTH, Cause.REFUSED)
    assert program.runs() == 1
    await program.clock.advance(60, tick=60)
    await failure(command, refused)
    assert program.runs() == 2


async def test_a_dead_token_is_never_handed_out(program: Program) -> None:
    program.prints(json.dumps({"accessToken": TOKEN, "expiresAt": NOW.timestamp() * 1000}))
    error = await failure(program.command())
    assert (error.reason, error.cause) == (Reason.AUTH, Cause.EXPIRED)


async def test_a_failure_is_remembered_for_a_minute(program: Program) -> None:
    program.does(f"echo {TOKEN}; echo {TOKEN} >&2; exit 7")
    command = program.command("--secret", "hush")
    for _ in range(3):
        error = await failure(command)
        assert str(error) == (
            "the token command 'token tool' ended with 7: run it by hand in a terminal to see why"
        )
        assert (error.reason, error.cause) == (Reason.CREDENTIALS, Cause.FAILED)
    assert program.runs() == 1
    program.prints(TOKEN)
    await program.clock.advance(60, tick=60)
    assert (await command.read()).secret == Secret(TOKEN)


FAILURES = [
    ("kill -9 $$", "was ended by signal 9", Cause.FAILED),
    ("true", "prints no token", Cause.DAMAGED),
    ("echo two words", "prints no token", Cause.DAMAGED),
    ("echo '{'", "prints no token", Cause.DAMAGED),
    ("yes token", "prints more than a token", Cause.TOO_LARGE),
]


@pytest.mark.parametrize(("script", "words", "cause"), FAILURES)
async def test_what_is_no_token_is_told_apart(
    program: Program, script: str, words: str, cause: Cause
) -> None:
    program.does(script)
    error = await failure(program.command())
    assert words in str(error) and error.cause is cause


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    for argv in (["no-such-program", "hush"], [str(tmp_path)], [""], []):
        error = await failure(TokenCommand(argv, FakeClock()))
        assert "is not on the PATH" in str(error) and "hush" not in str(error)
        assert error.cause is Cause.MISSING


async def test_a_program_that_cannot_be_started_is_an_error(program: Program) -> None:
    program.path.write_text("#!/no/such/interpreter\n")
    assert "cannot be started (No such file" in str(await failure(program.command()))
    program.prints(TOKEN)
    assert "cannot be started (an odd" in str(await failure(program.command("a\0b")))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


async def test_a_hanging_program_is_ended_with_all_that_it_started(
    program: Program, tmp_path: Path
) -> None:
    program.does(f"sleep 60 & echo $! > {tmp_path}/child; wait")
    started = time.monotonic()
    error = await failure(program.command(limit_secs=0.3))
    assert time.monotonic() - started < 5
    assert "took longer than 0.3 s and was ended: it may be waiting for a passphrase" in str(error)
    assert error.cause is Cause.SILENT
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not is_alive(child):
            break
        await asyncio.sleep(0.01)
    assert not is_alive(child)


async def test_a_child_that_escapes_does_not_hold_us_up(program: Program, tmp_path: Path) -> None:
    program.does(f"setsid sleep 60 & echo $! > {tmp_path}/child; echo {TOKEN}")
    assert (await program.command(limit_secs=10).read()).secret == Secret(TOKEN)
    os.kill(int((tmp_path / "child").read_text()), 9)


async def test_who_gives_up_waiting_leaves_nothing_running(
    program: Program, tmp_path: Path
) -> None:
    program.does(f"echo $$ > {tmp_path}/pid; sleep 60")
    task = asyncio.create_task(program.command().read())
    pid = await written(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def written(path: Path) -> int:
    for _ in range(500):
        if path.exists() and path.read_text():
            return int(path.read_text())
        await asyncio.sleep(0.01)
    raise AssertionError("it has not started")
