"""The README tells the truth: its picture is a golden screen, its flags, settings and paths exist."""

import re
from pathlib import Path

import pytest

from monitor import settings
from monitor.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE = (ROOT / "tests" / "golden" / "screen-three-100x12.txt").read_text(encoding="utf-8")


def test_the_picture_is_a_golden_screen() -> None:
    shown = re.search(r"<!-- picture: (\S+) -->\n```\n(.*?)```\n", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == "tests/golden/screen-three-100x12.txt"
    lines = [line for line in PICTURE.splitlines() if line.strip()]
    assert shown[2].splitlines() == lines


def test_the_settings_are_accepted_as_they_stand_there() -> None:
    usual, tuned = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    loaded = settings.parse(usual.encode(), Path("config.toml"))
    assert loaded.accounts[0].label == "work"
    loaded = settings.parse(tuned.encode(), Path("config.toml"))
    assert loaded.channels.names == {"webhook", "command", "alertmanager", "apprise"}


@pytest.mark.parametrize(
    "command", ["tui", "serve", "status", "accounts", "alerts", "mute", "notify-test"]
)
def test_every_flag_of_a_command_is_in_the_readme(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert {flag for flag in flags if flag not in README} == set()


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
