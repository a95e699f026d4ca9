import re
import subprocess
import sys
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path

import pytest

from monitor.arguments import parser
from monitor.cli import main
from monitor.commands.completion import account_names, script
from monitor.completion import tree_of
from monitor.completion.tree import Command, Flag, Value

SHELLS = ("bash", "zsh", "fish")


def test_a_parser_becomes_commands_flags_and_kinds_of_values() -> None:
    parser = ArgumentParser(prog="monitor", add_help=False)
    parser.add_argument("-v", "--verbose", action="store_true", help="100%% more")
    parser.add_argument("--hidden", help=SUPPRESS)
    verbs = parser.add_subparsers()
    verb = verbs.add_parser("use", help="use one", add_help=False)
    verbs.add_parser("secret", add_help=False)
    verb.add_argument("account", metavar="NAME")
    verb.add_argument("--config", metavar="PATH")
    verb.add_argument("--dir", metavar="DIR")
    verb.add_argument("--level", choices=["low", "high"])
    assert tree_of(parser) == Command(
        ("monitor",),
        "",
        (Flag(("-v", "--verbose"), "100% more", None),),
        (),
        (
            Command(
                ("monitor", "use"),
                "use one",
                (
                    Flag(("--config",), "", Value("PATH", "file")),
                    Flag(("--dir",), "", Value("DIR", "folder")),
                    Flag(("--level",), "", Value("level", "words", ("low", "high"))),
                ),
                (Value("NAME", "account"),),
                (),
            ),
        ),
    )


@pytest.mark.parametrize("command", list(tree_of(parser()).all()), ids=lambda c: " ".join(c.path))
def test_what_the_help_shows_is_completed_and_nothing_else(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.path[1:], "--help"])
    shown = re.findall(r"^  (-[^\n]*?)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
    flags = {name for line in shown for name in re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", line)}
    assert {name for flag in command.flags for name in flag.names} == flags


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script_of_a_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == script(shell, parser())


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
