"""The simulated truth and what is seen of it are such as the real ones are known to be."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.simulate.faults import WOBBLE
from tools.simulate.machine import Month, month, parsed, rounded
from tools.simulate.meter import TEN_MINUTES, Meter
from tools.simulate.record import DAY, FIVE_HOURS, HOUR, SEVEN_DAYS, Entry, Seen, instant
from tools.simulate.truth import Account
from tools.simulate.world import FABLE, account

DAYS = 12

worlds = st.integers(0, 10**6).map(lambda seed: account(Random(seed), DAYS))
few = settings(max_examples=15, deadline=None)


@few
@given(worlds)
def test_periods_follow_each_other_and_usage_never_falls_within_one(world: Account) -> None:
    for window in world.windows.values():
        for former, period in zip(window.periods, window.periods[1:], strict=False):
            assert former.opened_at < former.over_at <= period.opened_at
        for period in window.periods:
            assert list(period.values) == sorted(period.values)
            assert list(period.times) == sorted(period.times)


@few
@given(worlds)
def test_a_period_that_is_not_reset_early_is_over_at_the_end_that_was_named(world: Account) -> None:
    for window in world.windows.values():
        for period in window.periods[:-1]:
            assert period.early or period.over_at == period.ends[-1][1]
            assert period.over_at <= period.end_at(period.over_at)


@few
@given(worlds)
def test_five_hours_begin_with_use_and_end_on_a_ten_minute_mark(world: Account) -> None:
    window = world.windows.get(FIVE_HOURS)
    for period in window.periods if window else ():
        end = period.ends[0][1]
        assert end % TEN_MINUTES == 0
        assert end - period.opened_at <= 5 * HOUR


@few
@given(worlds)
def test_a_week_goes_on_without_a_gap(world: Account) -> None:
    window = world.windows.get(SEVEN_DAYS)
    for former, period in zip(window.periods, window.periods[1:], strict=False) if window else ():
        assert former.over_at == period.opened_at


def test_a_window_opens_fills_ends_and_opens_again() -> None:
    meter = Meter("5h", 5 * HOUR, None, always_open=False)
    meter.use(HOUR + 70, 30)
    meter.use(2 * HOUR, 20)
    meter.advance(7 * HOUR)
    meter.use(7 * HOUR, 5)
    window = meter.window()
    assert [(p.opened_at, p.ends[-1][1]) for p in window.periods] == [
        (HOUR + 70, 6 * HOUR),
        (7 * HOUR, 12 * HOUR),
    ]
    assert [window.place_at(t * HOUR) for t in (0, 3, 6.5, 8)] == [-1, 0, -2, 1]
    assert window.periods[0].used_at(3 * HOUR) == 50


def test_the_end_of_a_week_moves_without_a_reset_and_the_next_week_follows_it() -> None:
    meter = Meter("7d", 7 * DAY, 2 * DAY, always_open=True)
    meter.move_end(DAY, 3 * HOUR)
    meter.advance(3 * DAY)
    first, second = meter.window().periods
    assert first.ends == ((0.0, 2 * DAY), (DAY, 2 * DAY + 3 * HOUR))
    assert (second.opened_at, second.ends[0][1]) == (2 * DAY + 3 * HOUR, 9 * DAY + 3 * HOUR)


def test_early_resets_keep_the_end_or_move_it_or_close_the_window() -> None:
    ends = []
    for form in ("unchanged", "moved", "closed"):
        meter = Meter("5h", 5 * HOUR, None, always_open=False)
        meter.use(0, 90)
        meter.reset(HOUR + 60, form, left=0)
        window = meter.window()
        period = window.open_at(2 * HOUR)
        ends.append(period.end_at(2 * HOUR) if period else None)
        assert window.periods[0].early
        assert meter.used == 0
    assert ends == [5 * HOUR, 6 * HOUR, None]


def seen_in(made: Month) -> list[tuple[str, list[Entry]]]:
    """The entries of each window, in the order of answers."""
    return [
        (key, [entry for entry in log.entries if key in entry.seen and not entry.late])
        for account, log in zip(made.accounts, made.logs, strict=True)
        for key in account.windows
    ]


def test_empty_answers_are_never_more_than_a_minute_apart_without_an_honest_one_between() -> None:
    for key, entries in seen_in(month("empty answers", 2, 20)):
        since: float | None = None
        for entry in entries:
            seen = entry.seen[key]
            if seen.honest or seen.percent > 0:
                since = None
                continue
            since = since or entry.t
            assert entry.t - since < 60


def test_an_honest_answer_says_no_more_than_the_truth() -> None:
    made = month("honest answers", 2, 10)
    for truth, log in zip(made.accounts, made.logs, strict=True):
        for entry in log.entries:
            for key, seen in entry.seen.items():
                period = truth.windows[key].open_at(entry.t)
                if seen.honest and period is not None and not entry.late:
                    assert seen.percent <= period.used_at(entry.t)


@given(
    st.lists(st.floats(-WOBBLE, WOBBLE), min_size=3, max_size=3),
    st.integers(1, 40_000),
    st.floats(0, 130),
)
def test_an_answer_reads_the_same_with_and_without_the_wire(
    wobbles: list[float], minute: int, percent: float
) -> None:
    end = minute * 60.0
    seen = {
        key: Seen(percent, end, end + wobble, True, 0)
        for key, wobble in zip((FIVE_HOURS, SEVEN_DAYS, FABLE), wobbles, strict=True)
    }
    seen[SEVEN_DAYS] = Seen(0, None, None, True, -1)
    short, long = rounded(seen, instant(0)), parsed(seen, instant(0))
    assert short.windows == long.windows
    assert [w.resets_at for w in short.windows] == [instant(end), None, instant(end)]
