"""`monitor tui`: where the live table cannot be shown."""

from pathlib import Path

import pytest

from tests.end_to_end.world import MONITOR
from tests.real.pty import terminal, terminal_env


@pytest.mark.parametrize("term", ["dumb", ""])
def test_on_a_terminal_that_cannot_move_its_cursor_the_table_is_printed_once(
    term: str, tmp_path: Path
) -> None:
    home = str(tmp_path)
    env = terminal_env(HOME=home, XDG_RUNTIME_DIR=home, TERM=term)
    with terminal([*MONITOR, "tui"], env) as running:
        assert running.wait_for_exit() == 0
        assert "No account yet" in running.screen
