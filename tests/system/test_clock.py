"""The machine's clock, set right by what answers tell of the time."""

from datetime import timedelta

import pytest

from monitor.system.clock import ServerClock
from tests.builders import NOW
from tests.fakes import FakeClock

SECOND = timedelta(seconds=1)


def told(clock: ServerClock, off: float, took: float = 0.2) -> float:
    """What is added to the machine's time after an answer of a server whose clock is so many seconds off it."""
    right = clock.machine.now() + timedelta(seconds=off)
    clock.compare(right.replace(microsecond=0), clock.machine.now() - timedelta(seconds=took))
    assert clock.server_now() == clock.machine.now() + clock.found
    assert clock.now() == clock.machine.now(), "nobody has moved the state to it"
    return clock.found.total_seconds()


@pytest.mark.parametrize("off", [0, 1, -1, 29, -29])
def test_a_clock_that_is_right_to_half_a_minute_is_left_alone(off: float) -> None:
    assert told(ServerClock(FakeClock()), off) == 0


@pytest.mark.parametrize("off", [45, -45, 600, -3 * 3600, 86400 * 365 * 50])
def test_a_clock_that_is_off_is_set_right_by_the_first_answer(off: float) -> None:
    assert told(ServerClock(FakeClock()), off) == pytest.approx(off, abs=1)


def test_answers_that_take_long_or_tell_whole_seconds_do_not_make_it_tremble() -> None:
    clock = ServerClock(FakeClock(NOW + timedelta(microseconds=987_654)))
    first = told(clock, -7200)
    for took in (0.01, 1, 4, 30, 0.9):
        assert told(clock, -7200, took) == first


def test_once_the_machine_is_right_again_nothing_is_added() -> None:
    machine = FakeClock()
    clock = ServerClock(machine)
    assert told(clock, -7200) != 0
    machine.step(timedelta(hours=-2))
    assert told(clock, 0) == 0


def test_a_request_that_slept_through_the_night_says_nothing_new() -> None:
    clock = ServerClock(FakeClock())
    assert told(clock, -4 * 3600, took=8 * 3600) == 0
