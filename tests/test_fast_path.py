"""Commands that answer at once: as processes beside a running monitor, without one, and what they import."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from monitor.arguments import parser
from monitor.core.commands import (
    Guard,
    Ingest,
    Next,
    Request,
    Run,
    Status,
    decode_request,
)
from monitor.core.forecast import Forecast
from monitor.core.model import AccountForecast, AccountState, Secret, Window
from monitor.core.state import State
from monitor.credentials.account_cache import digest
from monitor.fast_path import parse_input, request_of
from monitor.ipc.lock import Lock
from monitor.paths import config_path, instance
from tests.app.leader_process import StandIn, leader, socket_of
from tests.builders import live, state
from tests.end_to_end.world import MONITOR
from tests.real.bus import running as program
from tests.real.bus import wait_until
from tests.real.need import need
from tests.real.prometheus import free_port
from tests.storage.factories import keep_accounts, keep_facts

LIMITS = {"five_hour": {"used_percentage": 14.000000000000002, "resets_at": 1779188400}}
SAID = {"session_id": "s", "cwd": "/secret", "rate_limits": LIMITS}
HEAVY = {
    "aiohttp", "prometheus_client", "keyring", "blessed", "asyncio", "dataclasses", "pathlib", "tomlkit", "logging",
    "datetime", "typing", "monitor.core.errors",
}  # fmt: skip


def account(name: str, percent: float, ago: timedelta = timedelta(seconds=5)) -> AccountState:
    now = datetime.now(UTC)
    windows = (
        Window("5h", percent / 100, now + timedelta(hours=2)),
        Window("7d", 0.1, now + timedelta(days=2 if name == "home" else 4)),
    )
    lasting = AccountForecast(now - ago, {"5h": Forecast(0.0, None)})
    return live(name, *windows, at=now - ago, forecast=lasting)


def two() -> State:
    return state(account("work", 42), account("home", 10), logged_in="work")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(runtime),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }


@pytest.fixture
def running(env: dict[str, str]) -> Iterator[StandIn]:
    with leader(env, two()) as standing_in:
        yield standing_in


def ran(
    env: dict[str, str], *words: str, stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MONITOR, *words],
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "--json"],
        ["status", "--format", "{name} {5h.percent}"],
        ["next"],
        ["next", "--name"],
        ["guard", "--max", "90"],
    ],
)
def test_beside_a_running_monitor_next_to_nothing_is_imported(
    env: dict[str, str], running: StandIn, words: list[str]
) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "monitor", *words]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    of_python = set(
        re.findall(
            r"\| +([\w.]+)$",
            subprocess.run(
                [sys.executable, "-X", "importtime", "-c", "import runpy"],
                capture_output=True, text=True, timeout=60,
            ).stderr,
            re.MULTILINE,
        )
    )  # fmt: skip
    assert done.returncode == 0
    assert len(running.asked) == 1
    assert "monitor.ipc.client" in imported
    assert (imported - of_python) & HEAVY == set()


@pytest.mark.usefixtures("running")
def test_the_running_monitor_is_asked(env: dict[str, str]) -> None:
    assert "work *" in ran(env, "status").stdout
    document = json.loads(ran(env, "status", "--json").stdout)
    assert [a["name"] for a in document["accounts"]] == ["work", "home"]
    assert ran(env, "status", "--format", "{name} {5h.percent}%").stdout == "work 42%\nhome 10%\n"
    assert ran(env, "status", "--current", "--format={name}").stdout == "work\n"
    assert ran(env, "status", "--account", "home", "--format={name}").stdout == "home\n"
    assert ran(env, "next", "--name").stdout == "home\n"
    assert ran(env, "next").stdout.startswith("home: 5h 10%, 7d 10% used; 90%")
    first, second = ran(env, "next", "--all").stdout.splitlines()
    assert (first[:14], second[:14]) == ("→ home  90% le", "  work  58% le")
    assert json.loads(ran(env, "next", "--json").stdout)["account"] == "home"


def test_a_pipe_is_no_terminal_that_words_are_left_out_for(
    env: dict[str, str], running: StandIn
) -> None:
    ran(env, "status")
    ran({**env, "COLUMNS": "80"}, "status")
    assert running.asked == [Status(columns=1000), Status(columns=80)]


@pytest.mark.parametrize(("percent", "code"), [(10, 0), (100, 2), (None, 0)])
def test_the_hook_of_the_docs_stops_a_prompt_that_has_no_room(
    env: dict[str, str], tmp_path: Path, percent: float | None, code: int
) -> None:
    page = (Path(__file__).parents[1] / "docs/status-lines.md").read_text(encoding="utf-8")
    (block,) = re.findall(r'^(\{"hooks".*)$', page, re.MULTILINE)
    hook = json.loads(block)["hooks"]["UserPromptSubmit"][0]["hooks"][0]["command"]
    program = tmp_path / "bin" / "monitor"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m monitor "$@"\n')
    program.chmod(0o755)
    known = state() if percent is None else state(account("work", percent), logged_in="work")
    with leader(env, known):
        path = f"{program.parent}:{env['PATH']}"
        done = subprocess.run(
            ["sh", "-c", hook],
            env={**env, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (code, "")
    assert ("no room before the limit" in done.stderr) == (code == 2)


def test_unusual_spellings_are_asked_as_well(env: dict[str, str], running: StandIn) -> None:
    assert ran(env, "status", "--form", "{name}").stdout == "work\nhome\n"
    assert ran(env, "guard", "--max", "10.5%", "--account=home").returncode == 0
    assert len(running.asked) == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--max", "90"], 0),
        (["--max", "42"], 4),
        (["--account", "home", "--max", "42"], 0),
        (["--window", "7d_opus"], 5),
    ],
)
@pytest.mark.usefixtures("running")
def test_a_guard_says_it_by_its_exit_code(env: dict[str, str], words: list[str], code: int) -> None:
    done = ran(env, "guard", *words)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_a_probability_above_100_percent_is_refused(env: dict[str, str]) -> None:
    done = ran(env, "guard", "--need", "15", "--confidence", "150")
    assert (done.returncode, "--confidence: is more than 100 percent" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["guard", "--account", "ghost"], "ghost"),
        (["guard", "--confidence", "90"], "--confidence is for --need"),
        (["next", "--plan", "soon"], "not a duration"),
        (["status", "--format", "{nme}"], "did you mean {name}?"),
        (["status", "--watch", "--format", "{nme}"], "did you mean {name}?"),
        (["status", "--account", "hime"], "did you mean 'home'?"),
        (["status", "--watch", "--demo"], "--watch"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_wrong_usage_is_one_line_with_and_without_a_running_monitor(
    env: dict[str, str], words: list[str], told: str, alone: bool
) -> None:
    settings(env, "work", "home")
    saved(env, "work", "home")
    with leader(env, two()) as standing_in:
        if alone:
            standing_in.stop()
        done = ran(env, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def settings(env: dict[str, str], *names: str) -> None:
    file = Path(env["HOME"]) / ".config/claude-tracker/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    api = '[api]\nurl = "http://127.0.0.1:9"\n'
    entry = '[[accounts]]\nname = "{0}"\norg_id = "org-{0}"\nauth_method = "oauth"\n'
    file.write_text(api + "".join(map(entry.format, names)))


def saved(env: dict[str, str], *names: str, ago: timedelta = timedelta(minutes=1)) -> None:
    known = [account(name, percent, ago) for percent, name in enumerate(names, 42)]
    keep_accounts(env, Path(config_path(env)), *known)


def test_without_a_running_monitor_saved_figures_answer(env: dict[str, str]) -> None:
    settings(env, "work", "home")
    saved(env, "work", "home", "gone")
    assert ran(env, "guard", "--max", "90").returncode == 0
    assert ran(env, "guard", "--max", "43", "--account", "home").returncode == 4
    assert ran(env, "next", "--name").stdout == "home\n"


def logs_in(env: dict[str, str], token: str, **known: str) -> None:
    """Claude Code has this token in a folder of its own; of these accounts, these tokens are known."""
    folder = Path(env["HOME"]) / ".claude-1"
    folder.mkdir(exist_ok=True)
    ends = int((datetime.now(UTC) + timedelta(hours=8)).timestamp() * 1000)
    login = {"claudeAiOauth": {"accessToken": token, "refreshToken": "r", "expiresAt": ends}}
    (folder / ".credentials.json").write_text(json.dumps(login))
    learnt = {name: {"token_digest": digest(Secret(one))} for name, one in known.items()}
    keep_facts(env, Path(config_path(env)), learnt)
    env["CLAUDE_CONFIG_DIR"] = str(folder)


def first_line(env: dict[str, str], *words: str) -> str:
    """What a command that never ends prints first, if it does within a moment."""
    watching = subprocess.Popen([*MONITOR, *words], env=env, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    limit = threading.Timer(3, watching.kill)
    limit.start()
    try:
        return watching.stdout.readline()
    finally:
        limit.cancel()
        watching.kill()
        watching.communicate()


def test_without_a_running_monitor_the_login_in_use_is_still_the_current_one(
    env: dict[str, str],
) -> None:
    settings(env, "work", "home")
    saved(env, "work", "home")
    logs_in(env, "sk-ant-oat01-h", work="sk-ant-oat01-w", home="sk-ant-oat01-h")
    assert ran(env, "guard", "--max", "43").returncode == 4
    assert first_line(env, "status", "--watch", "--current", "--format", "{name}") == "home\n"
    told = {one["account"]: one for one in json.loads(ran(env, "next", "--json").stdout)["ranking"]}
    assert told["home"]["logged_in"]


def test_what_is_asked_of_a_login_that_is_not_known_has_no_answer(env: dict[str, str]) -> None:
    settings(env, "work", "home")
    saved(env, "work", "home")
    logs_in(env, "sk-ant-oat01-new", work="sk-ant-oat01-w", home="sk-ant-oat01-h")
    assert ran(env, "guard").returncode == 5
    assert ran(env, "guard", "--account", "work").returncode == 0
    assert first_line(env, "status", "--watch", "--current", "--format", "{name}") == ""
    assert ran(env, "next", "--name").returncode == 0


def test_old_figures_guard_nothing(env: dict[str, str]) -> None:
    settings(env, "work")
    assert ran(env, "guard").returncode == 5
    saved(env, "work", ago=timedelta(minutes=20))
    assert ran(env, "guard").returncode == 5


def imports(env: dict[str, str], *words: str, stdin: str = "") -> set[str]:
    argv = [sys.executable, "-X", "importtime", "-m", "monitor", *words]
    done = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    return set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["guard"], ()),
        (["next"], ()),
        (["status"], ()),
        (["status", "--json"], ()),
        (["ingest", "--format", "{name}"], ("tomlkit",)),
    ],
)
def test_saved_figures_answer_without_anything_that_polls(
    env: dict[str, str], words: list[str], heavy: tuple[str, ...]
) -> None:
    settings(env, "work")
    saved(env, "work")
    imported = imports(env, *words, stdin="{}")
    assert "monitor.storage.cache" in imported
    polling = {"aiohttp", "prometheus_client", "keyring", "asyncio", "ssl"}
    assert not imported & {*polling, *heavy}


def test_who_polls_once_serves_nothing(env: dict[str, str]) -> None:
    settings(env, "work")
    imported = imports(env, "status")
    assert "aiohttp" in imported
    assert "prometheus_client" not in imported


@contextmanager
def hanging(env: dict[str, str]) -> Iterator[None]:
    """A monitor that has the lock and listens, and does nothing else, as one that is stopped."""
    path = socket_of(env)
    lock = Lock(instance(env, config_path(env))[0])
    assert lock.acquire()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        yield
    lock.release()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["status", "--format", "{name} {5h.percent}"], 0, "work 42\n"),
        (["next", "--name"], 0, "work\n"),
        (["guard", "--max", "90"], 0, ""),
        (["guard", "--max", "40"], 4, ""),
    ],
)
def test_where_a_monitor_hangs_kept_figures_answer_and_a_line_says_so(
    env: dict[str, str], words: list[str], code: int, told: str
) -> None:
    settings(env, "work")
    saved(env, "work", ago=timedelta(minutes=4))  # a poll would be due
    with hanging(env):
        began = time.monotonic()
        done = ran(env, *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, told, 1)
        assert "does not answer within 2 s: this is what was kept last" in done.stderr
        assert time.monotonic() - began < 4


def test_a_bar_does_not_wait_for_a_monitor_that_hangs(env: dict[str, str]) -> None:
    settings(env, "work")
    saved(env, "work")
    with hanging(env):
        assert first_line(env, "status", "--watch", "--format", "{5h.percent}") == "42\n"


def unusable(folder: Path) -> str:
    """A folder of our own in which nothing can be made."""
    if os.getuid() == 0:
        return "/sys"  # whose modes mean nothing to root
    folder.mkdir(mode=0o500)
    return str(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that root may not write to")
def test_a_runtime_folder_that_cannot_be_used_is_one_without_a_monitor(
    env: dict[str, str], tmp_path: Path
) -> None:
    settings(env, "work")
    env["XDG_RUNTIME_DIR"] = unusable(tmp_path / "theirs")
    assert ran(env, "status").returncode == 0
    saved(env, "work")
    assert ran(env, "next", "--name").stdout == "work\n"
    done = ran(env, "guard", "--max", "40")
    assert (done.returncode, done.stderr) == (4, "")
    done = ran(env, "serve")
    assert done.returncode == 1
    assert "set XDG_RUNTIME_DIR to a folder of your own" in done.stderr


def test_figures_are_handed_over_and_nothing_else(env: dict[str, str], running: StandIn) -> None:
    folder = {**env, "CLAUDE_CONFIG_DIR": "/home/me/.claude-work/"}
    done = ran(folder, "ingest", stdin=json.dumps(SAID))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (
        ran(env, "ingest", "--format", "{name}", stdin=json.dumps(SAID)).stdout == "Ingest: done\n"
    )
    said = {"rate_limits": LIMITS, "session_id": "s"}
    assert running.asked == [Ingest(said, "/home/me/.claude-work/"), Ingest(said, None, "{name}")]


@pytest.mark.parametrize("spelled", ["work", "work/", "~/.claude-work/", "../x"])
def test_a_folder_is_told_from_where_claude_code_stands_as_it_is_spelled(
    env: dict[str, str], running: StandIn, tmp_path: Path, spelled: str
) -> None:
    """Claude Code expands no tilde that a shell has left."""
    standing = tmp_path / "project"
    standing.mkdir()
    folder = {**env, "CLAUDE_CONFIG_DIR": spelled, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = ran(folder, "ingest", stdin=json.dumps(SAID), cwd=standing)
    assert (done.returncode, done.stderr) == (0, "")
    (asked,) = running.asked
    assert isinstance(asked, Ingest)
    assert asked.config_dir == f"{standing}/{spelled}"


def test_before_the_first_answer_there_is_nothing_to_hand_over(
    env: dict[str, str], running: StandIn
) -> None:
    assert ran(env, "ingest", stdin="{}").returncode == 0
    assert running.asked == []
    assert ran(env, "ingest", "--format={name}", stdin="{}").stdout == "Ingest: done\n"


@pytest.mark.parametrize("stdin", ["", "no json", "[]", "[" * 100_000, '{"x": "' + "x" * (1 << 20)])
def test_what_claude_code_never_says_is_one_line(env: dict[str, str], stdin: str) -> None:
    done = ran(env, "ingest", stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def said_now() -> str:
    """A session's limits: 14 % of the five hours, two hours before their end."""
    row = {"used_percentage": 14.000000000000002, "resets_at": int(time.time()) + 7230}
    return json.dumps({"session_id": "s", "rate_limits": {"five_hour": row}})


EVERY = "{name}|{label}|{number}|{5h.used}|{5h.resets_in}|{7d.used}|{status}"


def test_without_a_running_monitor_the_line_is_that_of_the_input(env: dict[str, str]) -> None:
    settings(env, "home", "work")
    saved(env, "home", "work")
    lives(env, home="", work="~/.claude-work")
    work = {**env, "CLAUDE_CONFIG_DIR": f"{env['HOME']}/.claude-work/"}
    done = ran(work, "ingest", "--format", EVERY, stdin=said_now())
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "work|work|2|14%|2h 00m|–|live\n",
        "",
    ), "and no saved figures of the week"
    full = ran(work, "ingest", "--format", "{5h.full}", stdin=said_now())
    assert full.stdout == "too early\n", "nor what was expected before"
    assert ran(env, "ingest", "--format", "{name}", stdin=said_now()).stdout == "home\n"
    assert (
        ran(work, "ingest", "--format", EVERY, stdin="{}").stdout == "work|work|2|–|–|–|waiting\n"
    )


@pytest.mark.parametrize("content", ["", "[[accounts]\n", '[[accounts]]\nname = "a"\n'])
def test_a_folder_of_nobody_has_its_line_without_a_name(env: dict[str, str], content: str) -> None:
    settings(env)
    (Path(env["HOME"]) / ".config/claude-tracker/config.toml").write_text(content)
    done = ran(env, "ingest", "--format", EVERY, stdin=said_now())
    assert (done.returncode, done.stdout) == (0, "–|–|–|14%|2h 00m|–|live\n")


def test_the_settings_say_whose_folder_it_is_that_was_never_seen(env: dict[str, str]) -> None:
    settings(env, "work")
    file = Path(env["HOME"]) / ".config/claude-tracker/config.toml"
    file.write_text(file.read_text() + 'config_dir = "~/.claude"\nlabel = "w"\n')
    assert ran(env, "ingest", "--format", "{label} {active}", stdin=said_now()).stdout == "w *\n"


def test_a_format_that_is_none_is_wrong_usage(env: dict[str, str]) -> None:
    done = ran(env, "ingest", "--format", "{nme}", stdin="{}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "stdin",
    [
        "",
        "no json",
        "[]",
        "\ufeff[",
        '{"rate_limits": {"five_hour": 5}}',
        '{"rate_limits": 5, "x": [1',
    ],
)
def test_a_line_is_printed_whatever_claude_code_says_and_complaints_go_to_standard_error(
    env: dict[str, str], stdin: str
) -> None:
    settings(env, "home")
    saved(env, "home")
    lives(env, home="")
    done = ran(env, "ingest", "--format", EVERY, stdin=stdin)
    assert (done.returncode, done.stdout) == (0, "home|home|1|–|–|–|waiting\n")
    assert done.stderr.count("\n") == 1


def test_one_odd_field_costs_that_field(env: dict[str, str]) -> None:
    settings(env, "home")
    saved(env, "home")
    lives(env, home="")
    limits = {
        "five_hour": {"used_percentage": 14, "resets_at": "soon"},
        "seven_day": {"used_percentage": 1779188400, "resets_at": None},
    }
    said = {"model": "\udcff", "rate_limits": limits, "session_id": ["s"]}
    done = ran(env, "ingest", "--format", EVERY, stdin="\ufeff" + json.dumps(said))
    assert (done.returncode, done.stdout) == (0, "home|home|1|14%|–|–|live\n")


def test_a_line_does_not_wait_for_standard_input_that_never_ends(env: dict[str, str]) -> None:
    argv = [*MONITOR, "ingest", "--format", "{status}"]
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asking:
        assert asking.wait(10) == 0
        assert asking.stdout and asking.stdout.read() == b"waiting\n"


def lives(env: dict[str, str], **folders: str) -> None:
    """Where each account's login was seen last."""
    home = env["HOME"]
    known = {n: {"folders": [f.replace("~", home)]} for n, f in folders.items()}
    keep_facts(env, Path(config_path(env)), known)


def test_figures_that_nobody_takes_are_one_line(env: dict[str, str]) -> None:
    done = ran(env, "ingest", stdin=json.dumps(SAID))
    assert (done.returncode, done.stdout) == (1, "")
    assert "monitor serve" in done.stderr


def test_standard_input_that_never_ends_is_given_up(env: dict[str, str]) -> None:
    began = time.monotonic()
    with subprocess.Popen(
        [*MONITOR, "ingest"], env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asking:
        assert asking.wait(10) == 1
    assert time.monotonic() - began < 4


def test_a_bar_outlives_the_monitor_that_it_watches(env: dict[str, str]) -> None:
    settings(env, "work")
    saved(env, "work")
    argv = [*MONITOR, "status", "--watch", "--format", "{5h.percent}"]
    with leader(env, state(account("work", 7))) as standing_in:
        watching = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
        try:
            assert watching.stdout is not None
            assert watching.stdout.readline() == "7\n"
            standing_in.state = state(account("work", 8))
            assert watching.stdout.readline() == "8\n"
            standing_in.stop()
            assert watching.stdout.readline() == "42\n"
            with leader(env, state(account("work", 9))):
                assert watching.stdout.readline() == "9\n"
        finally:
            watching.kill()
            watching.communicate()


@pytest.mark.parametrize("alone", [False, True])
def test_documents_can_be_watched_one_a_line(env: dict[str, str], alone: bool) -> None:
    settings(env, "work", "home")
    saved(env, "work", "home")
    with leader(env, two()) as standing_in:
        if alone:
            standing_in.stop()
        line = first_line(env, "status", "--watch", "--json", "--account", "work")
    (document,) = json.loads(line)["accounts"]
    assert (document["name"], document["windows"][0]["utilization"]) == ("work", 0.42)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("status", Status(columns=1000)),
        ("status --json --account x", Status("json", "x", columns=1000)),
        ("status --format {name} --current", Status(account="", format="{name}", columns=1000)),
        ("tui --listen :1", Status(columns=1000)),
        ("status --watch --json --account x", Status("json", "x", None, 1000, True)),
        ("next", Next()),
        ("next --config-dir", Next("config-dir")),
        ("next --all", Next("all")),
        ("next --plan 1h30m --model opus", Next(model="opus", plan="1h30m")),
        ("guard --need 15% --confidence 90", Guard(need=15, confidence=0.9)),
        ("run -- claude", Run(None, 0.98)),
        ("run --account x --force --max 90 claude --max 3", Run("x", 0.9, True)),
        ("guard", Guard()),
        ("guard --max=90 --window 5h", Guard(None, "5h", 0.9)),
        ("guard --max 90.5% --account=x", Guard("x", None, 0.905)),
    ],
)
def test_the_light_commands_write_the_requests_that_the_leader_reads(
    words: str, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert decode_request(request_of(parser().parse_args(words.split()))) == request_


def test_a_table_and_a_plan_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    for words in ("status", "next --plan 12h"):
        assert request_of(parser().parse_args(words.split()))["columns"] == 44


def test_limits_are_an_object_with_something_in_it() -> None:
    assert parse_input(json.dumps(SAID).encode())["rate_limits"] == LIMITS
    assert parse_input(b'{"rate_limits": {}, "session_id": "s"}') == {}
    assert parse_input(b'{"rate_limits": 5}') == {}


@pytest.mark.usefixtures("running")
def test_node_exporter_serves_what_is_written_for_it(env: dict[str, str], tmp_path: Path) -> None:
    need("prometheus-node-exporter")
    path = tmp_path / "claude.prom"
    path.write_text("an older one")
    done = ran(env, "status", "--textfile", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.stat().st_mode & 0o777 == 0o644, "others read it, as the umask lets them"
    port = free_port()
    argv = [
        "prometheus-node-exporter",
        f"--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={tmp_path}",
    ]

    def page() -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
                return str(response.read().decode())
        except URLError:
            return ""

    with program(argv):
        wait_until(page, "node_exporter serves")
        served = page()
    assert 'claude_usage_utilization_ratio{account="work",window="5h"} 0.42' in served
    assert "node_textfile_scrape_error 0" in served
    assert "claude_usage_reset_seconds" not in served, "a countdown would stand still"


def test_without_a_monitor_the_textfile_is_of_what_was_kept(
    env: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "claude.prom"
    done = ran(env, "status", "--textfile", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "claude_usage_build_info{" in path.read_text()
    wrong = ran(env, "status", "--textfile", str(tmp_path / "none" / "claude.prom"))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "No such file or directory" in wrong.stderr
    assert ran(env, "status", "--textfile", str(path), "--watch").returncode == 2
