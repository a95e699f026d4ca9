import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.notify.queue import Arrived, GroupingDelays, next_release, release

PACE = GroupingDelays(calm=0.3, longest=10, critical=1)


def arrivals(*places: tuple[float, bool]) -> list[Arrived[str]]:
    return [Arrived(f"{'!' if critical else ''}{at:g}", at, critical) for at, critical in places]


@pytest.mark.parametrize(
    ("places", "now", "busy", "free", "waiting"),
    [
        pytest.param([(0, False)], 0.2, False, [], ["0"], id="it waits a moment for others"),
        pytest.param([(0, False)], 0.3, False, ["0"], [], id="and is told then"),
        pytest.param(
            [(0, False), (0.2, False)], 0.4, False, [], ["0", "0.2"], id="another prolongs it"
        ),
        pytest.param([(0, False), (0.2, False)], 0.5, False, ["0", "0.2"], [], id="a bit"),
        pytest.param([(0, False)], 9.9, True, [], ["0"], id="it waits while accounts are asked"),
        pytest.param([(0, False)], 10, True, ["0"], [], id="but no longer than that"),
        pytest.param([(0, False), (9.9, False)], 10, False, ["0", "9.9"], [], id="come what may"),
        pytest.param(
            [(0, False), (5, True)], 5.9, True, [], ["0", "!5"], id="the critical waits too"
        ),
        pytest.param([(0, False), (5, True)], 6, True, ["!5"], ["0"], id="and then goes alone"),
        pytest.param([(0, True), (0.9, True)], 1, True, ["!0", "!0.9"], [], id="with its like"),
        pytest.param([], 5, True, [], [], id="nothing is nothing"),
    ],
)
def test_when_a_burst_is_over(
    places: list[tuple[float, bool]], now: float, busy: bool, free: list[str], waiting: list[str]
) -> None:
    told, kept = release(arrivals(*places), now, busy, PACE)
    assert (told, [arrival.what for arrival in kept]) == (free, waiting)


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), min_size=1).map(sorted),
    st.booleans(),
    st.floats(0, 60),
)
def test_nothing_is_lost_doubled_or_late(
    places: list[tuple[float, bool]], busy: bool, later: float
) -> None:
    burst = arrivals(*places)
    now = burst[-1].at + later
    told, kept = release(burst, now, busy, PACE)
    assert sorted([*told, *(a.what for a in kept)]) == sorted(a.what for a in burst)
    assert all(now < arrival.at + PACE.longest for arrival in kept)
    assert not any(arrival.critical and now >= arrival.at + PACE.critical for arrival in kept)
    assert bool(told) is (now >= next_release(burst, busy, PACE))
