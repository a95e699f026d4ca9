"""A machine whose clock is hours off: the figures, alerts and choices are right by the API's time, and that is said."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from monitor.demo.server import Limit, Limits, SimulatedAccount
from tests.end_to_end.crowd import INTERVAL_SECS, Crowd, crowd
from tests.real.bus import wait_until

HOURS_AND_SOME = timedelta(hours=3, seconds=30)  # shown as 3h 00m, be it a second more or less
WAYS = {"ahead": HOURS_AND_SOME, "behind": -HOURS_AND_SOME}


@pytest.mark.parametrize("way", WAYS)
def test_figures_alerts_and_choice_go_by_the_time_of_the_api(tmp_path: Path, way: str) -> None:
    ahead = WAYS[way]
    with crowd(tmp_path, accounts=2, ahead=ahead) as many:
        full, free = many.api.accounts
        uses(full, 90, ahead)
        uses(free, 20, ahead)
        service = many.serve()
        wait_until(lambda: gauge(many, "up") == 2, "figures", 2 * INTERVAL_SECS)
        assert gauge(many, "clock_offset_seconds") == pytest.approx(ahead.total_seconds(), abs=2)
        assert 7000 < gauge(many, 'reset_seconds{account="user-0@example.com",window="5h"}') <= 7200
        assert f"{full.email}: polled" in (many.home / "serve.log").read_text()
        table = many.table()
        table.wait_for(f"clock is 3h 00m {way}")
        assert "90%" in table.screen and "1h 59m" in table.screen
        assert guard(many, full, 85) == 4
        assert guard(many, free, 85) == 0
        assert free.email in many.run("next").stdout
        uses(full, 97, ahead)
        wait_until(lambda: many.told(), "the alert", 2 * INTERVAL_SECS)
        service.terminate()
        assert service.wait(20) == 0
        wait_until(lambda: many.answers(), "the table has taken over")
        assert guard(many, full, 95) == 4
        table.keys("q")
        wait_until(lambda: not many.living, "the table has ended")
        assert guard(many, full, 95) == 4
        assert "97%" in many.run("status").stdout
        assert many.told() == [(full.email, "5h", "threshold_95")]


def test_a_command_that_polls_keeps_what_it_has_found_of_the_clock(tmp_path: Path) -> None:
    ahead = WAYS["ahead"]
    with crowd(tmp_path, accounts=1, ahead=ahead) as many:
        (full,) = many.api.accounts
        uses(full, 90, ahead)
        for _ in range(2):
            assert "90%" in many.run("status").stdout
            assert guard(many, full, 85) == 4
        assert len(many.api.requests_of(full.email)) == 1


def guard(many: Crowd, account: SimulatedAccount, most: int) -> int:
    return many.run("guard", "--account", account.email, "--max", str(most)).returncode


def uses(account: SimulatedAccount, percent: float, ahead: timedelta) -> None:
    ends = datetime.now(UTC) - ahead + timedelta(hours=2)
    account.limits = lambda _: Limits(Limit(percent, ends), Limit(5, ends + timedelta(days=5)))


def gauge(many: Crowd, name: str) -> float:
    """The sum of the samples of a metric, whose name may have labels."""
    try:
        page = urlopen(f"http://127.0.0.1:{many.port}/metrics").read().decode()
    except OSError:  # not yet
        return -1
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if line[0] != "#")
    return sum(
        float(value)
        for series, value in lines
        if f"claude_usage_{name}" in (series, series.partition("{")[0])
    )
