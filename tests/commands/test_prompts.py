"""What `monitor accounts` asks on a terminal: one Ctrl-C leaves, and the terminal is as a shell wants it."""

from pathlib import Path

import pytest

from tests.end_to_end.world import MONITOR
from tests.real.pty import terminal, terminal_env

ADD = ["add", "--name", "n", "--org-id", "o"]
PROMPTS = [
    (ADD, "session key"),
    (["edit", "a", "--session-key"], "new session key"),
    (["remove", "a"], "[y/N]"),
]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    settings = tmp_path / "config.toml"
    settings.write_text('[[accounts]]\nname = "a"\n')
    home = str(tmp_path)
    return terminal_env(
        HOME=home,
        XDG_STATE_HOME=f"{home}/state",
        XDG_RUNTIME_DIR=home,
        MONITOR_CONFIG=str(settings),
        DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent",
    )


@pytest.mark.parametrize(("words", "question"), PROMPTS)
def test_one_interrupt_at_a_prompt_leaves_at_once_and_the_terminal_echoes(
    env: dict[str, str], words: list[str], question: str
) -> None:
    with terminal([*MONITOR, "accounts", *words], env) as running:
        running.wait_for_prompt(question)
        running.keys("\x03")
        assert running.wait_for_exit() == 130
        assert running.is_cooked
        assert "Traceback" not in running.screen


@pytest.mark.parametrize(
    ("words", "question", "answer"),
    [(ADD, "session key", "session key is empty"), (["remove", "a"], "[y/N]", "nothing was")],
)
def test_the_end_of_input_at_a_prompt_is_no_answer(
    env: dict[str, str], words: list[str], question: str, answer: str
) -> None:
    with terminal([*MONITOR, "accounts", *words], env) as running:
        running.wait_for(question)
        running.keys("\x04")
        assert running.wait_for_exit() == 1
        assert answer in running.screen
        assert Path(env["MONITOR_CONFIG"]).stat().st_size > 0
