"""`monitor status` on a terminal, where no monitor runs: rows come one by one, and a line says what is waited for."""

from datetime import timedelta

import pytest

from monitor.commands.queries import waiting_line
from monitor.demo.server import Fault, Limit, Limits
from tests.commands.test_accounts import Machine, user  # noqa: F401 - a fixture
from tests.end_to_end.world import MONITOR
from tests.real.pty import terminal, terminal_env

HOUR = timedelta(hours=1)


def test_rows_are_shown_as_they_come_and_it_says_what_it_waits_for(
    user: Machine,  # noqa: F811
) -> None:
    mine, work = user.accounts
    user.login(".claude", mine)
    user.login(".claude-work", work)
    assert user.run("import", "--all").returncode == 0
    for state in (user.home / ".local").rglob("state.db*"):
        state.unlink()
    for account in (mine, work):
        account.limits = lambda at: Limits(Limit(42, at + HOUR), Limit(10, at + 40 * HOUR))
    work.fault = lambda _: Fault(503, delay=6)
    argv = [*MONITOR, "status", "--config", str(user.settings)]
    with terminal(argv, terminal_env(**user.env), 110, 24) as shown:
        screen = shown.wait_for("waiting for work@example.com (1 of 2 polled)")
        rows = [line for line in screen.splitlines() if "@example.com" in line]
        assert "%" in rows[0] and "%" not in rows[1], "one has come, the other has not"
        assert shown.wait_for_exit() == 0
        rows = [line for line in shown.lines if line]
    assert "waiting for" not in "\n".join(rows)
    assert [line.split()[0] for line in rows] == ["#", "1", "2"]


@pytest.mark.parametrize(
    ("waiting", "columns", "words"),
    [
        (["a", "b"], 80, "waiting for a, b (3 of 5 polled)"),
        (["first@x.com", "b@x.com"], 49, "waiting for first@x.com, b@x.com (3 of 5 polled)"),
        (["first@x.com", "b@x.com"], 48, "waiting for first@x.com, 1 more (3 of 5 polled)"),
        (["first@x.com", "b@x.com"], 40, "waiting for the API (3 of 5 polled)"),
        ([], 80, "waiting for the forecasts"),
        (["a"], 12, "waiting …"),
    ],
)
def test_as_many_accounts_are_named_as_there_is_room_for(
    waiting: list[str], columns: int, words: str
) -> None:
    line = waiting_line(waiting, 5, columns)
    assert len(line) < columns
    assert line == words
