"""Where things are, by the environment: strings, light, and the same for all of a user's shells."""

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.paths import (
    config_path,
    find_session_bus,
    instance,
    instance_key,
    lock_path,
    runtime_folder,
    socket_path,
    state_folder,
)

HOME = pwd.getpwuid(os.getuid()).pw_dir
SHARED = f"/tmp/claude-tracker-{os.getuid()}"


def test_settings_and_state_are_plain_strings() -> None:
    assert config_path({"HOME": "/h"}) == "/h/.config/claude-tracker/config.toml"
    assert state_folder({"HOME": "/h"}) == "/h/.local/state/claude-tracker"


def test_an_instance_has_its_lock_and_its_socket_in_one_folder(tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    folder, key = runtime_folder(env), instance_key(env, "/h/c.toml")
    found = instance(env, Path("/h/c.toml"))
    assert found == (lock_path(folder, key), socket_path(folder, key))


@pytest.mark.parametrize("named, path", [("~", "/h/"), ("~/a//b", "/h/a//b"), ("~x/a", "~x/a")])
def test_a_tilde_alone_is_the_home_folder(named: str, path: str) -> None:
    assert config_path({"HOME": "/h"}, named) == path


def test_the_runtime_folder_is_the_one_that_the_environment_names(tmp_path: Path) -> None:
    assert runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) == f"{tmp_path}/claude-tracker"


@pytest.mark.parametrize("value", ["", "relative", "/no/such/folder", __file__])
def test_a_runtime_folder_that_cannot_be_one_is_passed_over(value: str) -> None:
    assert runtime_folder({"XDG_RUNTIME_DIR": value}, "freebsd") == SHARED


def test_another_users_runtime_folder_is_passed_over(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a folder away, which only root can")
    os.chown(tmp_path, 65534, -1)
    assert runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, "freebsd") == SHARED


def test_without_one_the_folder_does_not_depend_on_the_shell() -> None:
    places = {runtime_folder({"TMPDIR": folder}) for folder in ("/tmp/a", "/tmp/b")}
    users = f"/run/user/{os.getuid()}"
    assert places == {f"{users}/claude-tracker" if Path(users).is_dir() else SHARED}


def test_macos_without_its_own_temporary_folder_takes_the_shared_place() -> None:
    assert (
        runtime_folder({}, "darwin") == SHARED
    )  # Linux has no such name, and its number means nothing


def test_the_ordinary_settings_file_needs_no_key() -> None:
    environ = {"HOME": HOME}
    assert instance_key(environ, config_path(environ)) == ""


@pytest.mark.parametrize(
    "environ",
    [{"HOME": "/elsewhere"}, {"HOME": HOME, "XDG_CONFIG_HOME": "/x"}, {"MONITOR_CONFIG": "/m"}],
)
def test_other_settings_are_another_instance_however_they_are_named(
    environ: dict[str, str],
) -> None:
    key = instance_key(environ, config_path(environ))
    assert len(key) == 12
    assert key == instance_key({}, config_path(environ))


def test_one_file_behind_two_names_is_one_instance(tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "real.toml")
    assert instance_key({}, str(link)) == instance_key({}, str(tmp_path / "real.toml"))


def test_the_files_are_named_after_the_key() -> None:
    assert (lock_path("/r", ""), socket_path("/r", "")) == ("/r/lock", "/r/socket")
    assert (lock_path("/r", "k"), socket_path("/r", "k")) == ("/r/lock-k", "/r/socket-k")


@pytest.mark.parametrize("platform, most", [("darwin", 102), ("linux", 106)])
def test_a_socket_path_that_is_too_long_is_moved_and_stays_distinct(
    platform: str, most: int
) -> None:
    fits = "/" + "f" * (most - len("//socket"))
    assert socket_path(fits, "", platform) == f"{fits}/socket"
    longer, other = fits + "f", fits + "g"
    moved = socket_path(longer, "", platform)
    assert moved.startswith(f"{SHARED}/socket-")
    assert len(moved) < most
    assert moved != socket_path(other, "", platform) != socket_path(longer, "k", platform)


def test_the_length_counts_in_bytes() -> None:
    assert socket_path("/" + "é" * 60, "", "linux").startswith(SHARED)


def test_nothing_is_imported_for_it() -> None:
    code = """
import os, sys
before = set(sys.modules)
import monitor.paths as paths
paths.socket_path(paths.runtime_folder({}), "")
print(" ".join(set(sys.modules) - before))
"""
    argv = [sys.executable, "-S", "-c", code]
    root = Path(__file__).parents[1]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"monitor", "monitor.paths"}


def test_a_shell_that_was_told_of_no_session_bus_has_the_user_s_own(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(f"{tmp_path}/bus")
        ours = {"XDG_RUNTIME_DIR": str(tmp_path)}
        named = {**ours, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/named"}
        mac = dict(ours)
        find_session_bus(ours, "linux")
        find_session_bus(named, "linux")
        find_session_bus(mac, "darwin")
    assert ours["DBUS_SESSION_BUS_ADDRESS"] == f"unix:path={tmp_path}/bus"
    assert named["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/named"
    assert "DBUS_SESSION_BUS_ADDRESS" not in mac


@pytest.mark.parametrize("folder", ["", "relative", "/no/such/folder", "FILE"])
def test_what_is_no_socket_of_ours_is_no_session_bus(tmp_path: Path, folder: str) -> None:
    (tmp_path / "bus").touch()
    environ = {"XDG_RUNTIME_DIR": folder.replace("FILE", str(tmp_path))}
    find_session_bus(environ, "linux")
    assert "DBUS_SESSION_BUS_ADDRESS" not in environ


# Settings and state, by flag and environment


@pytest.mark.parametrize(
    "override, environ, path",
    [
        (None, {"HOME": "/h"}, "/h/.config/claude-tracker/config.toml"),
        (None, {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/claude-tracker/config.toml"),
        (
            None,
            {"HOME": "/h", "XDG_CONFIG_HOME": "rel"},
            "/h/.config/claude-tracker/config.toml",
        ),
        (None, {"HOME": "/h", "XDG_CONFIG_HOME": ""}, "/h/.config/claude-tracker/config.toml"),
        (None, {"HOME": "/h", "MONITOR_CONFIG": "/m.toml"}, "/m.toml"),
        ("/o.toml", {"HOME": "/h", "MONITOR_CONFIG": "/m.toml"}, "/o.toml"),
        (None, {"HOME": "/h", "MONITOR_CONFIG": ""}, "/h/.config/claude-tracker/config.toml"),
        ("~/o.toml", {"HOME": "/h"}, "/h/o.toml"),
    ],
)
def test_where_the_settings_are(override: str | None, environ: dict[str, str], path: str) -> None:
    assert config_path(environ, override) == path


@pytest.mark.parametrize(
    "environ, folder",
    [
        ({"HOME": "/h"}, "/h/.local/state/claude-tracker"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/x"}, "/x/claude-tracker"),
    ],
)
def test_where_state_is_kept(environ: dict[str, str], folder: str) -> None:
    assert state_folder(environ) == folder


def test_each_settings_file_has_rows_of_its_own(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    ordinary = home / ".config" / "claude-tracker" / "config.toml"
    files = [ordinary, tmp_path / "a.toml", tmp_path / "b.toml"]
    ids = [instance_key(environ, file) for file in files]
    assert ids[0] == ""
    assert len(set(ids)) == len(files)
    assert ids == [instance_key(environ, file) for file in files], "the same at each start"
