"""Ten processes of one user cost one poll, whoever of them is killed; see `tests.end_to_end.crowd`."""

import random
import signal
import time
from pathlib import Path

from monitor.demo.server import Fault, rate_limited
from tests.end_to_end.crowd import INTERVAL_SECS, Crowd, crowd, uses
from tests.real.bus import wait_until

KILLS = 20
TAKEN_OVER_SECS = 2.0


def test_ten_processes_and_twenty_dead_leaders_ask_no_more_than_one_process(tmp_path: Path) -> None:
    chance = random.Random(1)
    with crowd(tmp_path) as many:
        for _ in range(5):
            many.serve()
            many.table()
        many.wait_for_leader()
        first, second, third = many.api.accounts
        slowest = 0.0
        for kill in range(KILLS):
            if kill == 4:
                wait_until(lambda: is_known(many, first.email), "a first sample", INTERVAL_SECS)
                uses(first, 97)
                wait_until(lambda: told(many, first.email), "the alert", 2 * INTERVAL_SECS)
            if kill == 8:
                second.fault = lambda _: rate_limited("40")
            if kill == 12:
                third.fault = lambda _: Fault(500)
            if kill == 16:
                second.fault = third.fault = lambda _: None
            slowest = max(slowest, many.kill_leader())
            many.serve()
            pause(many, chance.uniform(0.1, 2))
        everyone = many.api.accounts
        wait_until(lambda: all(map(many.gaps, everyone)), "a second poll", 3 * INTERVAL_SECS)
        for account in everyone:
            gaps = many.gaps(account)
            assert min(gaps) >= INTERVAL_SECS, (account.email, gaps)
        assert slowest <= TAKEN_OVER_SECS
        assert told(many, first.email) == [("5h", "threshold_95")]


def pause(many: Crowd, seconds: float) -> None:
    """Let the processes live, with somebody looking at every table."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        many.read()
        time.sleep(0.05)


def is_known(many: Crowd, account: str) -> bool:
    """Whether any leader has lived to see an answer: the first one says nothing, whatever it shows."""
    shown = many.run("status", "--account", account, "--format", "{5h.percent}")
    return shown.returncode == 0 and shown.stdout.strip().isdigit()


def told(many: Crowd, account: str) -> list[tuple[str, str]]:
    return [(window, rule) for name, window, rule in many.told() if name == account]


def test_who_stalls_delays_nobody(tmp_path: Path) -> None:
    """Nobody reads the leader's terminal, and a follower is frozen: polls, scrapes and other followers go on."""
    with crowd(tmp_path) as many:
        leader = many.table()
        assert many.wait_for_leader() == leader.process.pid
        leader.keys("\x13")
        frozen, other = many.table(), many.table()
        for table in (frozen, other):
            table.wait_for("user-2@example.com")
        frozen.signal(signal.SIGSTOP)
        uses(many.api.accounts[0], 64)
        end = time.monotonic() + 2 * INTERVAL_SECS
        while "64%" not in other.screen:
            assert time.monotonic() < end, other.screen
            assert many.scraped_within() < 0.5
            other.read(0.5)
        frozen.signal(signal.SIGCONT)
        frozen.wait_for("64%")
