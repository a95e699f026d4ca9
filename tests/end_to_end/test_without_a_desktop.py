"""A machine without D-Bus, over a terminal: the table itself shows an alert, and all that names channels agrees."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.crowd import Crowd, crowd, uses
from tests.end_to_end.world import MONITOR
from tests.real.pty import Terminal, terminal, terminal_env

NO_DESKTOP = "no D-Bus session: desktop notifications unavailable"
NAME = "user-0@example.com"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Crowd]:
    with crowd(tmp_path, accounts=2) as found:
        text = found.settings.read_text()
        start, end = text.index("[notifications]"), text.index("[[accounts]]")
        found.settings.write_text(text[:start] + text[end:])
        yield found


def ran(machine: Crowd, *words: str) -> tuple[int, str]:
    """The exit code, and what was printed with one space between words."""
    done = subprocess.run(
        [*MONITOR, *words], env=machine.env, capture_output=True, text=True, timeout=60
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def crossed(machine: Crowd, shown: Terminal) -> str:
    """The screen once the account's utilization went from 70 to 97 %."""
    shown.wait_for("70%")
    uses(machine.api.accounts[0], 97)
    shown.wait_for("97%", 60)  # with the next poll
    return shown.wait_for("⚠ user-0@ 5h passed 95%")


def test_the_table_shows_the_alert_and_all_say_the_same_of_the_channels(machine: Crowd) -> None:
    uses(machine.api.accounts[0], 70)
    env = terminal_env(**machine.env)
    env.pop("DBUS_SESSION_BUS_ADDRESS", None)
    with terminal([*MONITOR, "tui"], env, 140, 30) as shown:
        screen = crossed(machine, shown)
        rows = [line for line in screen.splitlines() if NAME in line and "|" in line]
        assert ["⚠" in row for row in rows] == [True]
        shown.wait_for_raw(b"\a")
        shown.wait_for_raw(b"\x1b]2;97% user-0@ 5h")

        shown.keys("l")
        shown.wait_for("─ alerts ─")
        shown.wait_for("sent (bell)")
        shown.keys("\x1b")
        shown.wait_until_gone("─ alerts ─")
        assert not [line for line in shown.lines if NAME in line and "⚠" in line]

        _, listed = ran(machine, "alerts")
        assert f"active alerts {NAME} 5h passed 95% · resets" in listed
        assert listed.count("sent (bell)") == 1
        assert listed.count("5h passed") == 2, "one line of what is active, one of what was sent"

        code, test = ran(machine, "notify-test")
        assert (code, f"desktop: unavailable: {NO_DESKTOP}" in test) == (0, True)
        assert test.endswith("bell: sent")
        shown.wait_for("test: alerts are shown here")

        _, doctor = ran(machine, "doctor")
        assert NO_DESKTOP in doctor
        assert "only an open `monitor tui` shows alerts" in doctor
        shown.keys("q")
        assert shown.wait_for_exit() == 0


def test_a_table_that_follows_shows_the_alert_of_a_service_that_has_no_channel(
    machine: Crowd,
) -> None:
    uses(machine.api.accounts[0], 70)
    service = subprocess.Popen([*MONITOR, "serve"], env=machine.env, stderr=subprocess.DEVNULL)
    machine.services.append(service)
    machine.wait_for_leader()
    env = terminal_env(**machine.env)
    env.pop("DBUS_SESSION_BUS_ADDRESS", None)
    with terminal([*MONITOR, "tui"], env, 140, 30) as shown:
        crossed(machine, shown)
        shown.keys("l")
        shown.wait_for("not sent (desktop: unavailable)")
        assert b"\a" not in shown.raw.replace(b"\x1b\\", b""), "no bell was booked, and none rang"
        code, test = ran(machine, "notify-test")
        assert (code, "every channel failed" in test) == (1, True)
        _, listed = ran(machine, "alerts")
        assert "not sent yet: desktop: unavailable" in listed
        shown.keys("qq")  # the log, and the table
        assert shown.wait_for_exit() == 0
