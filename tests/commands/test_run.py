"""A command in place of `monitor run`: a fake `claude` that says what it was given, over saved figures of accounts."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.model import Window
from monitor.paths import config_path
from tests.app.leader_process import leader
from tests.builders import live, state
from tests.end_to_end.world import MONITOR
from tests.storage.factories import keep_accounts
from tests.test_fast_path import account, env, ran, saved, settings  # noqa: F401 - a fixture

FAKE = """\
#!{python}
import json, os, signal, sys
told = {{"argv": sys.argv[1:], "environ": dict(os.environ), "pid": os.getpid()}}
print(json.dumps(told), flush=True)
if "wait" in sys.argv:
    signal.pause()
sys.exit(int(os.environ.get("CODE", "0")))
"""
TOKEN = "sk-ant-oat01-canary"


@pytest.fixture
def world(env: dict[str, str], tmp_path: Path) -> dict[str, str]:  # noqa: F811
    """Two accounts, `home` with the default folder and more used of it, and a `claude` to be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    claude = folder / "claude"
    claude.write_text(FAKE.format(python=sys.executable))
    claude.chmod(0o755)
    settings(env, "work", "home")
    known = account("work", 42), account("home", 90)
    keep_accounts(env, Path(config_path(env)), *known)
    file = Path(env["HOME"]) / ".config/claude-tracker/config.toml"
    text = file.read_text()
    for name, place in (("work", "~/.claude-work"), ("home", "~/.claude")):
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\nconfig_dir = "{place}"\n')
    file.write_text(text)
    return {**env, "PATH": f"{folder}:{env['PATH']}"}


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_command_gets_the_folder_of_the_account_to_use_and_its_own_words(
    world: dict[str, str],
) -> None:
    said = told(ran(world, "run", "--", "claude", "--max", "3", "--", "-p", "it's"))
    assert said["argv"] == ["--max", "3", "--", "-p", "it's"]
    assert said["environ"]["CLAUDE_CONFIG_DIR"] == f"{world['HOME']}/.claude-work"


@pytest.mark.parametrize("name", ["home", "2", "ho"])
def test_a_named_account_with_the_default_folder_needs_no_variable(
    world: dict[str, str], name: str
) -> None:
    elsewhere = {**world, "CLAUDE_CONFIG_DIR": "/elsewhere"}
    said = told(ran(elsewhere, "run", "--account", name, "--", "claude"))
    assert "CLAUDE_CONFIG_DIR" not in said["environ"]


def test_no_token_gets_into_the_environment_nor_one_that_would_lead_elsewhere(
    world: dict[str, str],
) -> None:
    done = ran({**world, "CLAUDE_CODE_OAUTH_TOKEN": TOKEN}, "run", "--", "claude")
    assert TOKEN not in done.stdout + done.stderr
    assert "left out CLAUDE_CODE_OAUTH_TOKEN" in done.stderr
    ours = {"CLAUDE_CONFIG_DIR", "LC_CTYPE"}
    assert set(told(done)["environ"]) - set(world) <= ours


def test_its_exit_code_and_its_signals_are_the_commands(world: dict[str, str]) -> None:
    assert ran({**world, "CODE": "7"}, "run", "--", "claude").returncode == 7
    argv = [*MONITOR, "run", "--", "claude", "wait"]
    with subprocess.Popen(argv, env=world, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = json.loads(running.stdout.readline())
        assert said["pid"] == running.pid, "it is the very process"
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == -signal.SIGTERM


def test_a_broken_pipe_ends_the_command_as_it_would_in_a_shell(world: dict[str, str]) -> None:
    done = ran(world, "run", "--", "sh", "-c", "kill -PIPE $$; echo survived")
    assert (done.returncode, done.stdout) == (-signal.SIGPIPE, "")


def test_a_full_account_is_not_run_unless_it_has_to(world: dict[str, str]) -> None:
    done = ran(world, "run", "--account", "home", "--max", "90", "--", "claude")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("monitor: home is at 5h 90%, resets in 1h 5")
    told(ran(world, "run", "--account", "home", "--max", "90", "--force", "--", "claude"))


def test_where_no_account_has_room_nothing_is_run(world: dict[str, str]) -> None:
    now = datetime.now(UTC)
    full = [
        live(
            name,
            Window("5h", used, now + timedelta(hours=hours)),
            at=now,
            config_dir=f"/home/me/{name}",
        )
        for name, used, hours in (("work", 0.99, 2), ("home", 1.0, 1))
    ]
    with leader(world, state(*full)):
        done = ran(world, "run", "--", "claude")
        assert (done.returncode, done.stdout) == (4, "")
        assert "no account has room: work is at 5h 99%" in done.stderr
        said = told(ran(world, "run", "--force", "--", "claude"))
    assert said["environ"]["CLAUDE_CONFIG_DIR"] == "/home/me/work"


def test_where_the_account_in_use_has_no_room_another_one_is_run(world: dict[str, str]) -> None:
    now = datetime.now(UTC)
    known = [
        live(
            name,
            Window("5h", used, now + timedelta(hours=2)),
            Window("7d", 0.3, now + timedelta(days=3)),
            at=now,
            config_dir=f"/home/me/{name}",
        )
        for name, used in (("work", 0.99), ("home", 0.1))
    ]
    with leader(world, replace(state(*known), logged_in="work")):
        assert ran(world, "next").stdout.startswith("work: "), "it is kept as long as it lasts"
        said = told(ran(world, "run", "--", "claude"))
    assert said["environ"]["CLAUDE_CONFIG_DIR"] == "/home/me/home"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("run", 2, "no command to run"),
        ("run --", 2, "no command to run"),
        ("run --account ghost -- claude", 2, "there is no account 'ghost'"),
        ("run -- no-such-program", 1, "cannot run 'no-such-program': No such file"),
        ("run -- /", 1, "cannot run '/': Permission denied"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    world: dict[str, str], words: str, code: int, said: str
) -> None:
    done = ran(world, *words.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert said in done.stderr


def test_an_account_without_a_folder_says_how_it_gets_one(
    env: dict[str, str],  # noqa: F811
) -> None:
    settings(env, "work")
    saved(env, "work")
    done = ran(env, "run", "--account", "work", "--", "true")
    assert done.returncode == 1
    assert "no folder of Claude Code is known for work: `monitor accounts import" in done.stderr
