"""The systemd user unit: its text, which systemd itself checks, and its file, links and state by a stand-in."""

import configparser
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.core.errors import TrackerError
from monitor.service import Start, render_unit, stamp, supervisor_for
from tests.real.need import need
from tests.service.fakes import ODD, SYSTEMCTL, StandIn

START = Start(("/home/u/.local/bin/monitor", "serve"))

UNIT = ".config/systemd/user/claude-tracker.service"

LINK = ".config/systemd/user/default.target.wants/claude-tracker.service"


def unit(start: Start) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(stamp(render_unit(start)))
    return parser


def test_the_unit_starts_this_program_and_keeps_it_running() -> None:
    service = unit(START)["Service"]
    assert service["ExecStart"] == "/home/u/.local/bin/monitor serve"
    assert (service["Type"], service["Restart"], service["WatchdogSec"]) == (
        "notify",
        "on-failure",
        "60",
    )
    assert service["NoNewPrivileges"] == "yes"
    assert "Environment" not in service
    assert unit(START)["Install"]["WantedBy"] == "default.target"


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
    file.write_text(stamp(render_unit(start)))
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


@pytest.fixture
def systemd(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path, "systemctl", SYSTEMCTL)


def test_installing_writes_enables_and_starts_the_unit(systemd: StandIn) -> None:
    service = supervisor_for(systemd.environ, "linux")
    lines = service.install(START, force=False)
    assert systemd.calls() == [
        "--user show --property=Version",
        "--user daemon-reload",
        "--user enable claude-tracker.service",
        "--user restart claude-tracker.service",
    ]
    file = systemd.home / UNIT
    assert "ExecStart=/home/u/.local/bin/monitor serve\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in lines[0]
    assert "loginctl enable-linger" in lines[1]
    assert service.status() == "the service is installed, enabled, running"


def test_where_users_may_have_no_namespaces_it_runs_without_a_sandbox(systemd: StandIn) -> None:
    systemd.note("no-namespaces")
    service = supervisor_for(systemd.environ, "linux")
    lines = service.install(START, force=False)
    assert lines[1] == "without a sandbox: user namespaces are not available here"
    text = (systemd.home / UNIT).read_text()
    assert "PrivateUsers" not in text
    assert "NoNewPrivileges=yes" in text
    assert service.status() == "the service is installed, enabled, running"


def test_systemd_calls_the_unit_hardened(tmp_path: Path) -> None:
    need("systemd-analyze")
    file = tmp_path / "claude-tracker.service"
    file.write_text(render_unit(Start(("/bin/true",))))
    argv = ["systemd-analyze", "--user", "security", "--offline=true", "--threshold=40", str(file)]
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]
    file.write_text(render_unit(Start(("/bin/true",)), sandbox=False))
    assert subprocess.run(argv, env=environ, capture_output=True, timeout=60).returncode != 0


def test_uninstalling_leaves_nothing_behind(systemd: StandIn) -> None:
    (systemd.home / ".config").mkdir()
    before = systemd.files()
    service = supervisor_for(systemd.environ, "linux")
    service.install(START, force=False)
    systemd.calls()
    assert service.uninstall() == ["the service is removed"]
    assert systemd.calls() == [
        "--user show --property=Version",
        "--user disable --now claude-tracker.service",
        "--user daemon-reload",
        "--user reset-failed claude-tracker.service",
    ]
    assert systemd.files() == before
    assert not systemd.has("running")


def test_both_may_be_done_again(systemd: StandIn) -> None:
    service = supervisor_for(systemd.environ, "linux")
    assert service.uninstall() == ["there was no service to remove"]
    service.install(START, force=False)
    first = systemd.files()
    service.install(Start(("/new/monitor", "serve")), force=False)
    assert systemd.files() == first
    assert "ExecStart=/new/monitor serve\n" in (systemd.home / UNIT).read_text()
    service.uninstall()
    assert service.uninstall() == ["there was no service to remove"]


def test_the_configuration_folder_may_be_elsewhere(systemd: StandIn, tmp_path: Path) -> None:
    systemd.environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    supervisor_for(systemd.environ, "linux").install(START, force=False)
    assert (tmp_path / "xdg/systemd/user/claude-tracker.service").is_file()
    assert systemd.files() == set()


@pytest.mark.parametrize("by_hand", ["[Service]\nExecStart=monitor serve\n", None])
def test_an_edited_unit_is_replaced_only_by_force(systemd: StandIn, by_hand: str | None) -> None:
    service = supervisor_for(systemd.environ, "linux")
    service.install(START, force=False)
    file = systemd.home / UNIT
    edited = by_hand or file.read_text().replace("RestartSec=5", "RestartSec=60")
    file.write_text(edited)
    systemd.calls()
    with pytest.raises(TrackerError, match=r"claude-tracker\.service: .* edited: pass --force"):
        service.install(START, force=False)
    assert (file.read_text(), systemd.calls()) == (edited, [])
    service.install(START, force=True)
    assert "RestartSec=5\n" in file.read_text()


def test_a_session_that_cannot_be_reached_is_said_and_nothing_is_written(systemd: StandIn) -> None:
    systemd.note("no-bus")
    with pytest.raises(TrackerError, match=r"No medium found; log in as this user .*enable-linger"):
        supervisor_for(systemd.environ, "linux").install(START, force=False)
    assert systemd.files() == set()


def test_a_start_that_fails_is_said_with_where_to_look(systemd: StandIn) -> None:
    systemd.note("broken")
    service = supervisor_for(systemd.environ, "linux")
    with pytest.raises(TrackerError, match=r"service failed; see `journalctl --user"):
        service.install(START, force=False)
    words = r"the service is installed, enabled, not running \(inactive\); see `jour"
    with pytest.raises(TrackerError, match=words):
        service.status()


def test_out_of_reach_of_the_session_all_files_are_removed_even_so(systemd: StandIn) -> None:
    service = supervisor_for(systemd.environ, "linux")
    service.install(START, force=False)
    systemd.note("no-bus")
    removed, still = service.uninstall()
    assert removed == "the service is removed"
    assert "may still be running" in still
    assert systemd.files() <= {".config"}


def test_links_to_a_unit_that_is_gone_are_removed(systemd: StandIn) -> None:
    service = supervisor_for(systemd.environ, "linux")
    service.install(START, force=False)
    (systemd.home / UNIT).unlink()
    assert (systemd.home / LINK).is_symlink()
    assert service.uninstall() == ["the service is removed"]
    assert systemd.files() <= {".config"}


def test_additions_of_the_user_s_own_and_other_units_are_kept(systemd: StandIn) -> None:
    service = supervisor_for(systemd.environ, "linux")
    service.install(START, force=False)
    own = systemd.home / f"{UNIT}.d" / "override.conf"
    own.parent.mkdir()
    own.write_text("[Service]\nNice=5\n")
    other = own.parents[1] / "default.target.wants" / "other.service"
    other.touch()
    assert str(own.parent) in service.uninstall()[1]
    assert own.exists()
    assert other.exists()


def test_without_systemd_it_is_one_clear_line(tmp_path: Path) -> None:
    service = supervisor_for({"HOME": str(tmp_path), "PATH": str(tmp_path)}, "linux")
    for act in (lambda: service.install(START, force=False), service.status):
        with pytest.raises(TrackerError, match=r"no systemd here .* run `monitor serve`$"):
            act()
    assert service.uninstall() == ["there was no service to remove"]
    assert list(tmp_path.iterdir()) == []


def ran(systemd: StandIn, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "monitor", "service", *words]
    path = os.pathsep.join(sys.path)
    environ = {**systemd.environ, "PYTHONPATH": path}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)


def test_the_command_installs_tells_how_it_stands_and_uninstalls(
    systemd: StandIn, tmp_path: Path
) -> None:
    settings = tmp_path / "own settings.toml"
    settings.touch()
    before = ran(systemd)
    assert (before.returncode, before.stdout) == (1, "")
    assert before.stderr == "monitor: the service is not installed: run `monitor service install`\n"
    done = ran(systemd, "install", "--config", str(settings))
    assert (done.returncode, done.stderr) == (0, "")
    assert f'serve --config "{settings}"\n' in (systemd.home / UNIT).read_text()
    now = ran(systemd, "status")
    assert (now.returncode, now.stdout) == (0, "the service is installed, enabled, running\n")
    gone = ran(systemd, "uninstall")
    assert (gone.returncode, gone.stdout) == (0, "the service is removed\n")


def test_wrong_settings_are_said_before_anything_is_installed(systemd: StandIn) -> None:
    file = systemd.home / ".config/claude-tracker/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[setings]\n")
    done = ran(systemd, "install")
    assert done.returncode == 2
    assert "config.toml:1" in done.stderr
    assert not (systemd.home / UNIT).exists()
    assert systemd.calls() == []
