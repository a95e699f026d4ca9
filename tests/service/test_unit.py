import configparser
import plistlib
import subprocess
from pathlib import Path

import pytest

from monitor.service import Start, start_of
from monitor.service.launchd import render_agent
from monitor.service.supervisor import is_unedited, stamped
from monitor.service.systemd import render_unit
from tests.real.need import need

PLAIN = Start(("/home/u/.local/bin/monitor", "serve"))
ODD = Start(
    ("/opt/odd % $HOME/monitor", "serve", "--config", '/home/u/a b/$x %h "q" \\ \n\té.toml'),
    {"CLAUDE_CONFIG_DIR": '/home/u/%h $x "q" \\ \né'},
)


def unit(start: Start) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(stamped(render_unit(start)))
    return parser


def test_the_unit_starts_this_program_and_keeps_it_running() -> None:
    service = unit(PLAIN)["Service"]
    assert service["ExecStart"] == "/home/u/.local/bin/monitor serve"
    assert (service["Type"], service["Restart"], service["WatchdogSec"]) == (
        "notify",
        "on-failure",
        "60",
    )
    assert service["NoNewPrivileges"] == "yes"
    assert "Environment" not in service
    assert unit(PLAIN)["Install"]["WantedBy"] == "default.target"


def test_no_path_can_add_a_line_a_variable_or_a_specifier_to_the_unit() -> None:
    service = unit(ODD)["Service"]
    program, rest = service["ExecStart"].split(" serve --config ")
    assert program == '"/opt/odd %% $HOME/monitor"'
    assert rest == '"/home/u/a b/$$x %%h \\"q\\" \\\\ \\x0a\\x09é.toml"'
    assert service["Environment"] == '"CLAUDE_CONFIG_DIR=/home/u/%%h $x \\"q\\" \\\\ \\x0aé"'


@pytest.mark.parametrize("folder", ["bin", "odd % $HOME", 'o\'brien $HOME % "q"'])
def test_systemd_itself_finds_no_fault_with_the_unit(tmp_path: Path, folder: str) -> None:
    need("systemd-analyze")
    program = tmp_path / folder / "monitor"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "claude-tracker.service"
    start = Start((str(program), "serve", *ODD.argv[2:]), ODD.variables)
    file.write_text(stamped(render_unit(start)))
    argv = ["systemd-analyze", "--user", "verify", "--man=no", str(file)]
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_whose_path_systemd_refuses_is_started_by_another() -> None:
    started = unit(Start(("/home/o'brien/$x/monitor", "serve")))["Service"]["ExecStart"]
    assert started == '/usr/bin/env "/home/o\'brien/$$x/monitor" serve'


def test_systemd_does_find_fault_where_there_is_one(tmp_path: Path) -> None:
    need("systemd-analyze")
    file = tmp_path / "claude-tracker.service"
    file.write_text(render_unit(Start(("/nonexistent/monitor", "serve"))))
    argv = ["systemd-analyze", "--user", "verify", "--man=no", str(file)]
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert "/nonexistent/monitor" in done.stderr


def test_the_agent_is_a_property_list_that_starts_this_program() -> None:
    text = stamped(render_agent(ODD, Path("/Users/u/state & more/service.log"), "/opt/brew/bin"))
    agent = plistlib.loads(text.encode())
    assert agent["ProgramArguments"] == list(ODD.argv)
    assert agent["EnvironmentVariables"] == {"PATH": "/opt/brew/bin", **ODD.variables}
    assert agent["StandardErrorPath"] == "/Users/u/state & more/service.log"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert (agent["RunAtLoad"], agent["ProcessType"]) == (True, "Background")


@pytest.mark.parametrize("text", [render_unit(ODD), render_agent(ODD, Path("/l"), "/bin")])
def test_an_edit_is_told_from_what_was_written(text: str) -> None:
    written = stamped(text)
    assert is_unedited(written)
    assert not is_unedited(written.replace("serve", "serve --no-notify"))
    assert not is_unedited(text)
    assert not is_unedited("[Service]\nExecStart=monitor serve\n")


@pytest.mark.parametrize("text", ["", "\x00", "stamp:", "stamp:" + "0" * 16])
def test_what_has_no_stamp_of_ours_is_somebody_else_s(text: str) -> None:
    assert not is_unedited(text)


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    for name in ("monitor", "python"):
        program = tmp_path / name
        program.touch(mode=0o755)
    return tmp_path


def test_the_command_is_kept_by_the_name_it_was_called_by(bin_folder: Path) -> None:
    link = bin_folder / "links" / "monitor"
    link.parent.mkdir()
    link.symlink_to(bin_folder / "monitor")
    assert start_of(str(link), "/usr/bin/python3", {}).argv == (str(link), "serve")


def test_run_as_a_module_it_is_the_command_beside_python(bin_folder: Path) -> None:
    start = start_of("/src/monitor/__main__.py", str(bin_folder / "python"), {})
    assert start.argv == (str(bin_folder / "monitor"), "serve")


def test_without_a_command_it_is_the_module(tmp_path: Path) -> None:
    start = start_of("/src/monitor/__main__.py", str(tmp_path / "python"), {})
    assert start.argv == (str(tmp_path / "python"), "-m", "monitor", "serve")


def test_the_settings_and_folders_of_this_shell_are_kept(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bin_folder)
    environ = {"CLAUDE_CONFIG_DIR": "/c", "XDG_STATE_HOME": "", "ANTHROPIC_API_KEY": "secret"}
    start = start_of(str(bin_folder / "monitor"), "python", environ, Path("a/../b.toml"))
    assert start.argv[1:] == ("serve", "--config", str(bin_folder / "b.toml"))
    assert start.variables == {"CLAUDE_CONFIG_DIR": "/c"}
