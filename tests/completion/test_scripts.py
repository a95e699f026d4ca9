import re
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.arguments import parser
from monitor.cli import main
from monitor.commands.completion import account_names, render_script
from tests.completion.shells import ShellRig, rig
from tests.real.need import need

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> ShellRig:
    need("bash")
    return rig("bash", tmp_path_factory.mktemp("home"))


def commands(whole: ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command that the help shows, from the whole program on."""
    yield path
    for action in whole._actions:
        if isinstance(action, _SubParsersAction):
            for name, below in action.choices.items():
                yield from commands(below, (*path, name))


@pytest.mark.parametrize("path", list(commands(parser())), ids=" ".join)
def test_what_the_help_shows_is_completed_and_nothing_else(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], bash: ShellRig
) -> None:
    with pytest.raises(SystemExit):
        main([*path, "--help"])
    shown = re.findall(r"^  (-[^\n]*?)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
    flags = {name for line in shown for name in re.findall(r"(?<![\w-])--?[a-zA-Z][\w.-]*", line)}
    assert set(bash.offered(" ".join(["monitor", *path, "-"]))) == flags


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script_of_a_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == render_script(shell, parser())


def test_without_a_shell_it_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["completion"])
    assert done.value.code == 2
    assert "monitor completion bash" in capsys.readouterr().err


def test_the_scripts_are_told_the_names_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '\ufeff[[accounts]]\nname = "a b"\n[[accounts]]\nname = "ü\'"\nunknown = 1\n'
        '[[accounts]]\nname = "line\\nend"\n[[accounts]]\nname = 5\n',
        encoding="utf-8",
    )
    assert main(["completion", "--accounts", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "a b\nü'\n"


@pytest.mark.parametrize(
    "content", ["", "[", "accounts = 1", "[[accounts]]\n", "accounts = {}", "\xff"]
)
def test_wrong_settings_are_no_names_and_no_complaint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(content, encoding="latin-1")
    assert account_names({"MONITOR_CONFIG": str(file)}) == []
    assert account_names({"MONITOR_CONFIG": str(tmp_path)}) == []
    assert main(["completion", "--accounts", "--config", str(file)]) == 0
    assert capsys.readouterr() == ("", "")


def test_asking_for_names_imports_next_to_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "monitor", "completion", "--accounts"]
    done = subprocess.run(
        [*argv, "--config", str(tmp_path / "none")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    ours = {name for name in imported if name.startswith("monitor.")}
    light = {"arguments", "cli", "paths", "system", "system.stdio"}
    assert ours == {f"monitor.{name}" for name in light}
    assert "asyncio" not in imported
