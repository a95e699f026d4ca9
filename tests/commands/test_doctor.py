"""`monitor doctor` as a program: its page, its document, its exit code."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.commands.doctor import failures, running
from monitor.core.commands import Reply
from monitor.core.errors import Cause, Failure, Reason, TrackerError
from monitor.ipc.server import Server
from monitor.paths import instance
from tests.app.leader_process import leader
from tests.builders import failing, live, state, usage
from tests.storage.factories import keep_accounts

SETTINGS = "[api]\nenabled = false\n[notifications]\nenabled = false\n[exporter]\nlisten = {!r}\n"


def doctor(
    home: Path, *words: str, listen: str = "off", **environ: str
) -> subprocess.CompletedProcess[str]:
    config = home / "config.toml"
    config.write_text(SETTINGS.format(listen))
    config.chmod(0o600)
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    argv = [sys.executable, "-m", "monitor", "doctor", "--config", str(config), *words]
    return subprocess.run(
        argv, env=base | environ, capture_output=True, text=True, encoding="utf-8", timeout=60
    )


def test_the_page_is_plain_where_it_is_piped_and_keeps_to_the_width(tmp_path: Path) -> None:
    done = doctor(tmp_path, "-v", LC_ALL="C.UTF-8", TERM="xterm-256color", COLUMNS="40")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nok    settings: ~/config.toml: 0\n      accounts\n" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_failure_is_an_exit_code_and_an_entry_of_the_document(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = doctor(tmp_path, "--json", listen=f"127.0.0.1:{other.getsockname()[1]}")
    assert (done.returncode, done.stderr) == (1, "")
    checks = json.loads(done.stdout)["checks"]
    assert [c["check"] for c in checks if c["outcome"] == "fail"] == ["port"]


def test_a_locale_that_cannot_show_the_page_does_not_end_it(tmp_path: Path) -> None:
    done = doctor(tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert " checks: " in done.stdout


class FakeLeader:
    """Answers everything with the same text."""

    def __init__(self, code: int, text: str) -> None:
        self.reply = Reply(code, text)

    async def answer(self, request: Mapping[str, Any]) -> Reply:
        assert request["type"] in ("Who", "WatchState")
        return self.reply


async def said(folder: Path, code: int, text: str) -> Mapping[str, Any] | None:
    """What is learnt of an instance that answers so."""
    environ = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    config = folder / "config.toml"
    path = instance(environ, config)[1]
    server = Server(FakeLeader(code, text).answer, path)
    await server.start()
    try:
        return await asyncio.to_thread(running, config, environ)
    finally:
        await server.stop()


async def test_the_running_instance_is_asked_who_it_is(tmp_path: Path) -> None:
    assert await said(tmp_path, 0, '{"pid": 7, "version": "1"}\n') == {"pid": 7, "version": "1"}


@pytest.mark.parametrize(
    "code, text, words",
    [(1, "restart it\n", "restart it"), (0, "[]", r"\[\]"), (0, "", "in an unknown way")],
)
async def test_an_instance_that_says_something_else_is_an_error(
    tmp_path: Path, code: int, text: str, words: str
) -> None:
    with pytest.raises(TrackerError, match=words):
        await said(tmp_path, code, text)


def environ_of(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}


REFUSED = failing(live("a"), Reason.SCOPE, "a setup-token")


def test_the_running_instance_tells_what_fails(tmp_path: Path) -> None:
    environ = {**environ_of(tmp_path), "MONITOR_CONFIG": str(tmp_path / "config.toml")}
    with leader(environ, state(REFUSED, live("b"))):
        told = failures(tmp_path / "config.toml", environ)
    assert told == {"a": Failure(Reason.SCOPE, detail="a setup-token")}


def test_without_an_instance_it_is_told_as_the_last_one_has_left_it(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    assert failures(tmp_path / "config.toml", environ) == {}
    keep_accounts(environ, tmp_path / "config.toml", REFUSED, live("b"))
    told = failures(tmp_path / "config.toml", environ)
    assert told == {"a": Failure(Reason.SCOPE, detail="a setup-token")}


def test_figures_that_could_not_be_read_are_told_of_an_account_that_is_well(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    seen = replace(usage(), left_out=("7d: utilization is no number",))
    keep_accounts(environ, tmp_path / "config.toml", live("a", usage=seen), live("b"))
    told = failures(tmp_path / "config.toml", environ)
    words = "7d: utilization is no number"
    assert told == {"a": Failure(Reason.SCHEMA, Cause.LEFT_OUT, detail=words)}


async def test_what_another_version_says_in_other_words_is_an_error(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    config = tmp_path / "config.toml"
    server = Server(
        FakeLeader(0, '{"accounts": [{"health": {"reason": "new"}}]}').answer,
        instance(environ, config)[1],
    )
    await server.start()
    try:
        with pytest.raises(TrackerError, match="another version"):
            await asyncio.to_thread(failures, config, environ)
    finally:
        await server.stop()


def test_no_instance_is_no_error(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert running(tmp_path / "config.toml", environ) is None
