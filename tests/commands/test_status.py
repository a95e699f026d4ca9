"""`monitor status` on a terminal, where no monitor runs: rows come one by one, and a line says what is waited for."""

import csv
import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from monitor.commands.history import instant
from monitor.commands.queries import waiting_line
from monitor.demo.server import Fault, Limit, Limits
from monitor.storage.samples import StoredSample
from tests.commands.test_accounts import ME, Machine, user  # noqa: F401 - a fixture
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


def test_where_no_monitor_runs_each_poll_ends_with_forecasts_of_what_is_kept(
    user: Machine,  # noqa: F811
) -> None:
    mine, now = user.accounts[0], datetime.now(UTC)
    reset = now + 48 * HOUR
    mine.limits = lambda at: Limits(Limit(5, at + HOUR), Limit(95, reset))
    user.login(".claude", mine)
    assert user.run("import", "--all").returncode == 0

    def forecast() -> dict[str, float] | None:
        done = user.status("--json")
        (account,) = json.loads(done.stdout)["accounts"]
        found: dict[str, float] | None = account["windows"][1]["forecast"]
        return found

    assert forecast() is None, "too little is known"
    ago = [timedelta(hours=n, minutes=1) for n in range(72)]
    rows = [(instant(now - at), ME, "7d", 0.95 - at / HOUR / 80, instant(reset)) for at in ago]
    past = user.home / "past.csv"
    with past.open("w") as file:
        csv.writer(file).writerows([StoredSample._fields, *rows])
    words = ["history", "import", "--from", str(past), "--config", str(user.settings)]
    subprocess.run([*MONITOR, *words], env=user.env, check=True, timeout=60)
    known = forecast()
    assert known is not None and known["run_out_probability"] > 0.9
    page = user.home / "page.prom"
    assert user.status("--textfile", str(page)).returncode == 0
    assert "claude_usage_run_out_probability_ratio{" in page.read_text()
    for state in (user.home / ".local").rglob("state.db*"):
        state.unlink()
    subprocess.run([*MONITOR, *words], env=user.env, check=True, timeout=60)
    assert forecast() is not None, "the first poll of a state that has a past"


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
