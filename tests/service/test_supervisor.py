"""The command that a service runs, and the stamp of its file."""

from pathlib import Path

import pytest

from monitor.service import is_unedited, render_agent, render_unit, stamp, start_of
from tests.service.fakes import ODD


@pytest.mark.parametrize("text", [render_unit(ODD), render_agent(ODD, Path("/l"), "/bin")])
def test_an_edit_is_told_from_what_was_written(text: str) -> None:
    written = stamp(text)
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


@pytest.mark.parametrize(
    ("proxy", "kept"),
    [
        ("http://proxy.corp:3128", "http://proxy.corp:3128"),
        ("proxy.corp:3128", "proxy.corp:3128"),
        ("http://me:sesame@proxy.corp:3128", "http://proxy.corp:3128"),
        ("me:ses@me@proxy.corp:3128", "proxy.corp:3128"),
        ("http://me:ses://ame@proxy.corp", "http://proxy.corp"),
    ],
)
def test_a_proxy_is_kept_without_the_login_in_it(bin_folder: Path, proxy: str, kept: str) -> None:
    environ = {"https_proxy": proxy, "NO_PROXY": "corp", "NODE_EXTRA_CA_CERTS": "/ca.pem"}
    start = start_of(str(bin_folder / "monitor"), "python", environ)
    assert start.variables == {**environ, "https_proxy": kept}
    assert start.without_login == (("https_proxy",) if kept != proxy else ())
