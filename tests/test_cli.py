"""The command line as a process: exit codes, one-line errors, and what is imported when."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.arguments import EXAMPLES, parser
from tests.end_to_end.world import MONITOR, free_port
from tests.real.bus import wait_until
from tests.real.pty import terminal

NO_BUS = "unix:path=/nonexistent"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A user without accounts, keyring, desktop or network."""
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "DBUS_SESSION_BUS_ADDRESS": NO_BUS,
    }


def ran(env: dict[str, str], *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MONITOR, *words], env=env, input=stdin, capture_output=True, text=True, timeout=60
    )


def settings(env: dict[str, str], text: str) -> Path:
    file = Path(env["HOME"]) / ".config" / "claude-tracker" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_version(env: dict[str, str]) -> None:
    done = ran(env, "--version")
    assert (done.returncode, done.stdout) == (0, "monitor 0.1.0\n")


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["status", "--help"]])
def test_what_answers_at_once_imports_no_library(env: dict[str, str], words: list[str]) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "monitor", *words]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert done.returncode == 0
    assert "monitor.cli" in imported
    assert imported & {"aiohttp", "prometheus_client", "keyring", "blessed", "asyncio"} == set()


@pytest.mark.parametrize(
    ("words", "code"),
    [(["no-such-command"], 2), (["status", "--no-such-flag"], 2), (["--help"], 0)],
)
def test_usage(env: dict[str, str], words: list[str], code: int) -> None:
    assert ran(env, *words).returncode == code


@pytest.mark.parametrize(
    ("words", "usage", "said"),
    [
        ("status --jsn", "usage: monitor status ", ": --jsn: did you mean --json?"),
        ("accounts edit a --labl=x", "usage: monitor accounts edit ", "did you mean --label?"),
        ("alerts explain --json", "usage: monitor alerts explain ", "arguments: --json"),
        ("mute 1h 2h", "usage: monitor mute ", "unrecognized arguments: 2h"),
        ("--verson status", "usage: monitor ", "arguments: --verson: did you mean --version?"),
        ("stats", "usage: monitor ", "error: there is no command 'stats': did you mean 'status'?"),
        (
            "--config x status",
            "usage: monitor ",
            "--config: options stand after the command, as in",
        ),
        (
            "--config=x status",
            "usage: monitor ",
            "--config: options stand after the command, as in",
        ),
        ("frobnicate", "usage: monitor ", "there is no command 'frobnicate': see `monitor --help`"),
        ("accounts lst", "usage: monitor accounts ", "'lst': did you mean 'list'?"),
        ("serve --log-level loud", "usage: monitor serve ", "'loud' is none of debug, info,"),
        ("run --acount a -- true", "usage: monitor run ", "did you mean --account?"),
    ],
)
def test_what_is_not_recognized_is_answered_by_the_command_it_was_said_to(
    env: dict[str, str], words: str, usage: str, said: str
) -> None:
    done = ran(env, *words.split())
    assert done.returncode == 2
    assert done.stderr.startswith(usage)
    assert said in done.stderr


def test_a_bare_command_without_a_terminal_says_in_six_lines_what_there_is(
    env: dict[str, str],
) -> None:
    done = ran(env)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 6, "")
    assert all(line.startswith(("monitor", "  monitor ")) for line in done.stdout.splitlines())


def test_a_bare_command_on_a_terminal_opens_the_table(env: dict[str, str]) -> None:
    with terminal([*MONITOR], {**env, "TERM": "xterm-256color"}) as table:
        table.wait_for("No account yet")
        table.keys("q")
        assert table.wait_for_exit() == 0


@pytest.mark.parametrize("words", sorted(EXAMPLES))
def test_each_help_page_ends_with_an_example_that_is_understood(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([*words.split(), "--help"])
    assert " ".join(capsys.readouterr().out.split()).endswith(f"example: {EXAMPLES[words]}")
    command = EXAMPLES[words].replace("$(", " ").replace(')"', "").partition("monitor ")[2]
    rest = parser().parse_known_args(shlex.split(command.partition(" && ")[0]))[1]
    assert rest == []


@pytest.mark.parametrize("command", [["status"], ["serve"], ["tui"], ["accounts"], ["notify-test"]])
def test_a_wrong_setting_is_one_line_and_the_file_stays(
    env: dict[str, str], command: list[str]
) -> None:
    file = settings(env, "[settings]\npol_interval_secs = 60\n")
    before = file.read_bytes()
    done = ran(env, *command)
    assert done.returncode == 2
    assert done.stdout == ""
    first, *_ = done.stderr.splitlines()
    assert first.startswith("monitor: ")
    assert "config.toml:2" in first
    assert "poll_interval_secs" in first
    assert file.read_bytes() == before


def test_a_settings_file_named_by_a_flag_or_the_environment(
    env: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[[accounts]]\nname = "elsewhere"\n')
    assert "elsewhere" in ran(env, "accounts", "--config", str(other)).stdout
    assert "elsewhere" in ran({**env, "MONITOR_CONFIG": str(other)}, "accounts", "list").stdout


@pytest.mark.parametrize(
    "words",
    ["status", "status --json", "next", "guard", "serve", "accounts", "accounts use a",
     "alerts", "alerts explain", "notify-test", "service install"],
)  # fmt: skip
def test_a_settings_file_that_is_named_and_not_there_is_a_mistake(
    env: dict[str, str], tmp_path: Path, words: str
) -> None:
    missing = tmp_path / "mistyped.toml"
    done = ran(env, *words.split(), "--config", str(missing))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"monitor: no such file: {missing}\n"
    assert not missing.exists()


def test_a_settings_file_that_the_environment_names_need_not_be_there_yet(
    env: dict[str, str], tmp_path: Path
) -> None:
    done = ran({**env, "MONITOR_CONFIG": str(tmp_path / "later.toml")}, "status", "--json")
    assert (done.returncode, json.loads(done.stdout)["accounts"]) == (0, [])


def test_an_import_may_make_the_settings_file_that_is_named(
    env: dict[str, str], tmp_path: Path
) -> None:
    done = ran(env, "accounts", "import", "--config", str(tmp_path / "new.toml"))
    assert (done.returncode, "/login" in done.stderr) == (1, True)  # it looked for logins
    done = ran({**env, "MONITOR_CONFIG": str(tmp_path / "new.toml")}, "status", "--demo")
    assert done.returncode == 0


@pytest.mark.parametrize("words", ["status --config", "accounts list --config", "serve --config"])
def test_a_settings_file_of_an_empty_name_is_refused(env: dict[str, str], words: str) -> None:
    done = ran(env, *words.split(), "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--config: is empty" in done.stderr


def test_without_accounts_the_table_says_what_to_do(env: dict[str, str]) -> None:
    done = ran(env, "status")
    assert done.returncode == 0
    assert "import" in done.stdout.lower()
    assert json.loads(ran(env, "status", "--json").stdout)["accounts"] == []


def test_without_a_terminal_the_table_is_printed_once(env: dict[str, str]) -> None:
    done = ran(env, "tui", "--demo", "--listen", "off")
    assert done.returncode == 0
    assert "user@personal.com *" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_demo_touches_nothing(env: dict[str, str], tmp_path: Path) -> None:
    settings(env, "this is not toml")
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    document = json.loads(ran(env, "status", "--demo", "--json").stdout)
    assert len(document["accounts"]) == 6
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before


def test_nothing_to_import_is_an_expected_failure(env: dict[str, str]) -> None:
    done = ran(env, "accounts", "import")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "/login" in done.stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["accounts", "use", "ghost"], "ghost"),
        (["accounts", "remove", "ghost", "--yes"], "ghost"),
        (["accounts", "edit", "ghost", "--name", "x"], "ghost"),
        (["accounts", "add", "--name", "n", "--org-id", "o"], "session key is empty"),
        (["serve", "--listen", "not an address"], "listen"),
    ],
)
def test_expected_failures_are_one_line(env: dict[str, str], words: list[str], answer: str) -> None:
    done = ran(env, *words)
    assert done.returncode in (1, 2)
    assert answer in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_session_key_without_a_keyring_is_refused_and_not_echoed(env: dict[str, str]) -> None:
    key = "sk-ant-sid01-not-to-be-seen"
    done = ran(env, "accounts", "add", "--name", "n", "--org-id", "o", stdin=f"{key}\n")
    assert done.returncode == 1
    assert "keyring" in done.stderr
    assert key not in done.stdout + done.stderr
    assert ran(env, "accounts").stdout.startswith("no accounts yet")


def test_removing_asks_somebody(env: dict[str, str]) -> None:
    settings(env, '[[accounts]]\nname = "a"\n')
    done = ran(env, "accounts", "remove", "a")
    assert done.returncode == 1
    assert "--yes" in done.stderr


def test_a_port_in_use_ends_the_demo_and_is_named_with_its_setting(env: dict[str, str]) -> None:
    with taken_port() as port:
        done = ran(env, "serve", "--demo", "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert str(port) in last
    assert "exporter.listen" in last


def test_the_demo_takes_another_port_where_the_usual_one_is_taken(env: dict[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # where it is taken already, all the better
            stack.enter_context(socket.create_server(("127.0.0.1", 15707)))
        argv = [*MONITOR, "serve", "--demo"]
        demo = stack.enter_context(
            subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
        )
        assert demo.stderr is not None
        said = demo.stderr.readline()
        demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=10)
    assert "metrics on http://127.0.0.1:" in said
    assert ":15707/" not in said


def test_a_service_stays_while_its_port_is_in_use_and_has_it_later(env: dict[str, str]) -> None:
    with taken_port() as port:
        argv = [*MONITOR, "serve", "--listen", f"127.0.0.1:{port}"]
        serving = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
        assert serving.stderr is not None
        complaint = serving.stderr.readline()
    with serving:
        wait_until(lambda: answers(port), "the site")
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=10)
    assert f"127.0.0.1:{port}" in complaint
    assert "exporter.listen" in complaint


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)]
)
def test_serve_ends_in_order_when_told_to(
    env: dict[str, str], number: signal.Signals, code: int
) -> None:
    port = free_port()
    argv = [*MONITOR, "serve", "--demo", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as serving:
        wait_until(lambda: answers(port), "the site")
        serving.send_signal(number)
        _, log = serving.communicate(timeout=10)
    assert serving.returncode == code
    assert f"127.0.0.1:{port}/metrics" in log
    assert log.splitlines()[-1].endswith("stopped")


AT_THE_IMPORT = """
import runpy, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "monitor.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
runpy.run_module("monitor", run_name="__main__")
"""


def test_an_interruption_at_the_very_start_is_one_as_well(env: dict[str, str]) -> None:
    argv = [sys.executable, "-c", AT_THE_IMPORT]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_serve_without_accounts_or_network_stays_and_says_so(env: dict[str, str]) -> None:
    port = free_port()
    settings(
        env, '[api]\nurl = "http://127.0.0.1:9"\n[[accounts]]\nname = "a"\nauth_method = "oauth"\n'
    )
    argv = [*MONITOR, "serve", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        line = next(line for line in serving.stderr if "credentials" in line)
        assert serving.poll() is None
        serving.terminate()
        serving.communicate(timeout=10)
    assert "no login found yet" in line


def test_a_reader_that_goes_away_is_no_bug(env: dict[str, str]) -> None:
    command = f"{sys.executable} -m monitor status --demo --json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "{"
    assert done.stderr == ""


def test_notify_test_says_what_became_of_each_channel(env: dict[str, str]) -> None:
    done = ran(env, "notify-test")
    assert done.returncode == 1
    assert done.stdout.startswith("desktop: ")
    assert done.stderr == "monitor: every channel failed: run `monitor doctor`\n"


def test_a_machine_without_a_desktop_is_told_in_plain_words(env: dict[str, str]) -> None:
    del env["DBUS_SESSION_BUS_ADDRESS"]
    done = ran(env, "notify-test")
    words = "no D-Bus session: desktop notifications unavailable"
    assert done.stdout == f"desktop: unavailable: {words}\n"


@pytest.mark.parametrize(
    "words",
    [
        "status --account KEY",
        "status --KEY",
        "next KEY",
        "guard --account KEY",
        "guard --window KEY",
        "next --demo --model KEY",
        "history --demo --window KEY",
        "accounts KEY",
        "accounts edit KEY --name x",
        "accounts add --name KEY --org-id org",
        "accounts add --name a --org-id KEY",
        "accounts edit a --label KEY",
        "accounts edit a --name KEY",
        "serve --listen KEY",
        "status --config /tmp/KEY",
    ],
)
def test_a_session_key_that_is_typed_in_a_wrong_place_is_not_repeated(
    env: dict[str, str], words: str
) -> None:
    file = settings(env, '[[accounts]]\nname = "a"\norg_id = "org"\n')
    before = file.read_text()
    key = "sk-ant-sid01-SECRET"
    done = ran(env, *words.replace("KEY", key).split(), stdin="sk-ant-sid01-other\n")
    assert done.returncode in (1, 2, 5)
    assert "SECRET" not in done.stdout + done.stderr
    assert file.read_text() == before


@pytest.mark.parametrize("words", ["status --account x", "next", "bogus", "guard", "serve --x", ""])
def test_a_standard_error_that_nobody_reads_changes_no_exit_code(
    env: dict[str, str], words: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*MONITOR, *words.split()],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writer,
        timeout=60,
    )
    os.close(writer)
    assert done.returncode == ran(env, *words.split()).returncode
