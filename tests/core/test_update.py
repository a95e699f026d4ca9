from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import Cause, Failure, Reason
from monitor.core.events import (
    AccountIdentified,
    AccountsLoaded,
    AnswerSeen,
    ChannelsReplaced,
    ClockCorrected,
    ClockStepped,
    CredentialSeen,
    Event,
    FiguresSeen,
    LoginSeen,
    LookedAround,
    Muted,
    Notified,
    PolicyChanged,
    PollFailed,
    PollStarted,
    PollSucceeded,
    RefreshRequested,
    ReloadFailed,
    RequestSent,
    Restored,
)
from monitor.core.model import Account, AccountStatus, Down, Identity
from monitor.core.state import LoggedAlert, Policy, State
from monitor.core.update import update
from monitor.system.logs import crash_report
from tests.builders import NOW, after, before, live, state, usage, waiting, window

SECOND = timedelta(seconds=1)


def changed(start: State, *events: Event) -> State:
    for event in events:
        start, _ = update(start, event)
    return start


def loaded(*names: str, start: State | None = None, **more: object) -> State:
    accounts = tuple(Account(name, f"org-{name}") for name in names)
    return changed(start or state(), AccountsLoaded(NOW, accounts, **more))  # type: ignore[arg-type] # active, renamed


def success(name: str, percent: float, minute: float = 0) -> PollSucceeded:
    at = after(minutes=minute)
    seen = usage(window("5h", percent, timedelta(hours=3)), at=at)
    return PollSucceeded(at, name, seen, SECOND)


def test_new_accounts_wait_for_their_first_poll() -> None:
    now = loaded("a", "b")
    assert [a.status(NOW) for a in now.accounts.values()] == [AccountStatus.WAITING] * 2
    assert [a.next_poll_at for a in now.accounts.values()] == [NOW, after(seconds=0.04)]


def test_loading_again_keeps_what_is_known() -> None:
    now = loaded("b", "a", "c", start=state(live("a"), live("b")))
    assert list(now.accounts) == ["b", "a", "c"]
    assert now.accounts["a"].last_success_at == NOW
    assert now.accounts["c"].next_poll_at == NOW


def test_a_renamed_account_keeps_what_is_known() -> None:
    start = state(live("a", polling=True), logged_in="a")
    renamed = AccountsLoaded(NOW, (Account("z", "org-a"),), renamed={"a": "z"})
    now = changed(start, renamed)
    assert now.accounts["z"].last_success_at == NOW
    assert now.logged_in == "z"
    assert not now.accounts["z"].polling, "the poll under way answers to the old name"


def test_an_account_of_another_organization_starts_afresh() -> None:
    now = changed(state(live("a")), AccountsLoaded(NOW, (Account("a", "elsewhere"),)))
    assert now.accounts["a"].usage is None


def test_an_account_was_used_when_its_figure_rises() -> None:
    now = state(waiting("a"))
    for minute, percent, used in (
        (0, 42, None),
        (3, 42, None),
        (6, 43, 6),
        (9, 43, 6),
        (12, 40, 6),
    ):
        now = changed(now, success("a", percent, minute=minute))
        assert now.accounts["a"].used_at == (None if used is None else after(minutes=used))


def test_a_success_is_up_and_keeps_the_time_of_its_usage() -> None:
    now = changed(state(waiting("a")), PollStarted(NOW, "a"), success("a", 42, minute=1))
    account = now.accounts["a"]
    assert (account.down, account.last_success_at) == (None, after(minutes=1))
    assert (account.polls, account.polling, account.poll_duration) == (1, False, SECOND)


def test_a_failure_keeps_the_last_good_numbers() -> None:
    before_it = changed(state(waiting("a")), success("a", 42))
    failure = PollFailed(
        after(minutes=3), "a", Failure(Reason.TIMEOUT, detail="slow"), duration=SECOND
    )
    now = changed(before_it, failure)
    assert now.accounts["a"].usage == before_it.accounts["a"].usage
    assert now.accounts["a"].down == Down(after(minutes=3), Failure(Reason.TIMEOUT, detail="slow"))
    assert now.accounts["a"].failures == {Reason.TIMEOUT: 1}


def test_failures_in_a_row_are_down_since_the_first() -> None:
    first = PollFailed(NOW, "a", Failure(Reason.TIMEOUT, detail="slow"))
    second = PollFailed(after(minutes=3), "a", Failure(Reason.SERVER, detail="HTTP 500"))
    now = changed(state(live("a")), first, second)
    assert now.accounts["a"].down == Down(NOW, Failure(Reason.SERVER, detail="HTTP 500"))
    assert now.accounts["a"].failures_in_a_row == 2


def test_one_accounts_back_off_is_its_own() -> None:
    start = state(live("a"), live("b"))
    now = changed(
        start, PollFailed(NOW, "a", Failure(Reason.RATE_LIMITED, retry_after=timedelta(hours=1)))
    )
    assert now.accounts["a"].backoff_until == after(hours=1)
    assert now.accounts["b"] is start.accounts["b"]


def test_a_login_is_required_only_where_nothing_else_helps() -> None:
    def required(reason: Reason) -> bool:
        return (
            changed(state(live("a")), PollFailed(NOW, "a", Failure(reason)))
            .accounts["a"]
            .login_required
        )

    assert {r for r in Reason if required(r)} == {Reason.AUTH, Reason.SCOPE}


def test_a_crossing_is_an_effect() -> None:
    start = changed(state(waiting("a")), success("a", 70))
    _, effects = update(start, success("a", 81, minute=3))
    (effect,) = effects
    assert (effect.kind, effect.account) == (AlertKind.THRESHOLD, "a")


def test_a_failure_is_no_sample() -> None:
    start = changed(state(waiting("a")), success("a", 97))
    _, effects = update(start, PollFailed(after(hours=4), "a", Failure(Reason.SCHEMA)))
    assert effects == ()


def test_events_of_an_unknown_account_change_nothing() -> None:
    start = state(live("a"))
    for event in (
        success("ghost", 5),
        PollStarted(NOW, "ghost"),
        PollFailed(NOW, "ghost", Failure(Reason.AUTH)),
        RequestSent(NOW, "ghost"),
        AccountIdentified(NOW, "ghost", None),
        CredentialSeen(NOW, "ghost", None),
        FiguresSeen(NOW, "ghost", usage(window("5h", 4, timedelta(hours=3)))),
        AnswerSeen(NOW, "ghost", usage(window("5h", 4, timedelta(hours=3)))),
    ):
        assert update(start, event) == (start, ())


def test_a_refresh_of_one_leaves_the_others() -> None:
    start = state(live("a", at=before(minutes=2)), live("b", at=before(minutes=2)))
    now = changed(start, RefreshRequested(NOW, "a"))
    assert now.accounts["a"].next_poll_at == NOW
    assert now.accounts["b"].next_poll_at > NOW
    everyone = changed(start, RefreshRequested(NOW))
    assert {a.next_poll_at for a in everyone.accounts.values()} == {NOW}


def test_a_renewed_credential_is_polled_with_soon() -> None:
    start = changed(
        state(live("a", at=before(minutes=5))), PollFailed(NOW, "a", Failure(Reason.AUTH))
    )
    now = changed(start, CredentialSeen(NOW, "a", after(hours=8), renewed=True))
    assert now.accounts["a"].next_poll_at == NOW
    assert now.accounts["a"].token_expires_at == after(hours=8)


def test_a_login_of_nobody_we_know_is_no_login() -> None:
    start = state(live("a"), logged_in="a")
    assert changed(start, LoginSeen(NOW, "stranger")).logged_in is None
    assert changed(start, LoginSeen(NOW, "a")).logged_in == "a"


def test_what_was_learnt_is_not_unlearnt() -> None:
    identity = Identity("acc", "org")
    now = changed(
        state(live("a")),
        AccountIdentified(NOW, "a", identity, "pro"),
        AccountIdentified(NOW, "a", None, None),
    )
    assert (now.accounts["a"].identity, now.accounts["a"].plan) == (identity, "pro")


def test_notifications_are_counted() -> None:
    now = changed(
        state(),
        Notified(NOW, "desktop", "threshold", failure="timeout"),
        Notified(NOW, "terminal", "threshold"),
        Notified(NOW, "terminal", "threshold"),
    ).notifications
    assert now.told == {("terminal", "threshold"): 2}
    assert now.failed == {("desktop", "timeout"): 1}
    assert (now.last_channel, now.last_failure) == ("terminal", None)


def test_an_alert_is_in_the_log_with_what_became_of_it() -> None:
    fired = changed(state(waiting("a")), success("a", 70), success("a", 97, 3))
    (entry,) = fired.log
    assert (entry.alert.rule, entry.fired_at, entry.is_sent, entry.outcome) == (
        "threshold_95", after(minutes=3), False, "",
    )  # fmt: skip
    failed = changed(fired, Notified(NOW, "desktop", "threshold", "timeout", (entry.alert,)))
    assert failed.log[0].outcome == "not sent (desktop: timeout)"
    sent = changed(failed, Notified(NOW, "bell", "threshold", None, (entry.alert,)))
    assert (sent.log[0].is_sent, sent.log[0].outcome) == (True, "sent (bell)")
    assert changed(
        sent, Notified(NOW, "webhook", "threshold", "timeout", (entry.alert,))
    ) == replace(
        sent,
        notifications=changed(sent, Notified(NOW, "webhook", "threshold", "timeout")).notifications,
    )
    twice = changed(sent, Notified(NOW, "webhook", "threshold", None, (entry.alert,)))
    assert twice.log[0].outcome == "sent (bell), sent (webhook)"


def test_the_log_has_the_newest_fifty_and_goes_on_behind_what_an_earlier_process_logged() -> None:
    old = tuple(LoggedAlert(Alert(AlertKind.LOGIN, str(n), "", NOW), NOW) for n in range(60))
    now = changed(
        state(waiting("a")), Restored(NOW, {}, log=old), success("a", 70), success("a", 97, 3)
    )
    assert len(now.log) == 50
    assert [entry.alert.account for entry in now.log[-2:]] == ["59", "a"]


def test_the_log_follows_an_account_to_its_new_name() -> None:
    fired = changed(state(waiting("a")), success("a", 70), success("a", 97, 3))
    renamed = AccountsLoaded(NOW, (Account("z", "org-a"),), renamed={"a": "z"})
    assert [entry.alert.account for entry in changed(fired, renamed).log] == ["z"]


def test_what_is_muted_is_not_in_the_log() -> None:
    muted = changed(
        state(waiting("a")), Muted(NOW, after(hours=1)), success("a", 70), success("a", 97, 3)
    )
    assert muted.log == ()


def test_a_clock_set_back_moves_what_is_ours() -> None:
    start = changed(state(waiting("a")), success("a", 70))
    back = changed(start, ClockStepped(before(hours=1), -timedelta(hours=1))).accounts["a"]
    assert back.next_poll_at == start.accounts["a"].next_poll_at - timedelta(hours=1)
    assert back.last_success_at == before(hours=1)
    at = before(minutes=57)
    crossing = PollSucceeded(at, "a", usage(window("5h", 81, timedelta(hours=3)), at=at), SECOND)
    _, effects = update(
        changed(start, ClockStepped(before(hours=1), -timedelta(hours=1))), crossing
    )
    assert len(effects) == 1, "a sample after the step is no old one"


def test_a_clock_set_forward_changes_nothing() -> None:
    start = state(live("a"))
    assert changed(start, ClockStepped(after(hours=1), timedelta(hours=1))) is start


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_set_right_moves_what_was_noted_by_it(hours: float) -> None:
    start = changed(state(waiting("a")), success("a", 69, minute=-3), success("a", 70))
    off = timedelta(hours=hours)
    right = changed(start, ClockCorrected(NOW + off, off))
    old, new = start.accounts["a"], right.accounts["a"]
    assert right.clock_offset == off
    assert new.next_poll_at == old.next_poll_at + off
    assert new.last_success_at == new.used_at == NOW + off
    assert new.windows(NOW)[0].resets_at == old.windows(NOW)[0].resets_at, "which the API said"
    assert changed(right, ClockCorrected(NOW, timedelta(0))).accounts == start.accounts


def figures(name: str, percent: float, minute: float = 0) -> FiguresSeen:
    at = after(minutes=minute)
    return FiguresSeen(at, name, usage(window("5h", percent, timedelta(hours=3)), at=at))


def test_figures_of_claude_code_are_shown_without_a_request() -> None:
    start = state(waiting("a", next_poll_at=after(hours=9)))
    account = changed(start, figures("a", 42)).accounts["a"]
    assert account.usage == figures("a", 42).usage
    assert (account.down, account.last_success_at) == (None, NOW)
    assert (account.next_poll_at, account.requests) == (after(hours=9), ())


def test_figures_of_claude_code_mend_no_failing_poll() -> None:
    start = changed(
        state(live("a", at=before(minutes=9))), PollFailed(NOW, "a", Failure(Reason.AUTH))
    )
    account = changed(start, figures("a", 42, minute=1)).accounts["a"]
    assert account.down == Down(NOW, Failure(Reason.AUTH))
    assert account.last_success_at == after(minutes=1)
    assert account.next_poll_at == start.accounts["a"].next_poll_at


def test_figures_that_are_no_news_change_nothing() -> None:
    start = changed(state(waiting("a")), success("a", 42))
    assert changed(start, figures("a", 41, minute=1)).accounts == start.accounts


def test_figures_of_the_future_are_of_now() -> None:
    early = FiguresSeen(NOW, "a", usage(window("5h", 4, timedelta(hours=3)), at=after(hours=2)))
    assert changed(state(waiting("a")), early).accounts["a"].last_success_at == NOW


def test_figures_of_claude_code_tell_a_crossing_once() -> None:
    start = changed(state(waiting("a")), success("a", 70))
    start, effects = update(start, figures("a", 81, minute=1))
    assert [effect.kind for effect in effects] == [AlertKind.THRESHOLD]
    for later in (figures("a", 83, minute=2), success("a", 82, minute=3)):
        start, effects = update(start, later)
        assert effects == ()


def test_figures_of_one_window_are_no_second_sample_of_another() -> None:
    """The week reads 0 for a moment; Claude Code then speaks of the five hours only."""

    def poll(minute: float, week: float) -> PollSucceeded:
        windows = (
            window("5h", 10, timedelta(hours=3)),
            window("7d", week, timedelta(days=3)),
        )
        at = after(minutes=minute)
        return PollSucceeded(at, "a", usage(*windows, at=at), SECOND)

    start = changed(state(waiting("a")), poll(0, 60), poll(3, 90), poll(6, 0))
    start, effects = update(start, figures("a", 20, minute=8))
    assert effects == ()
    assert start.accounts["a"].alerts["7d"].low_since == after(minutes=6)
    assert start.accounts["a"].alerts["5h"].utilization == 0.2


def answer(
    percent: float, came: float, found: float | None = None, ends: timedelta = timedelta(hours=3)
) -> AnswerSeen:
    """One that Claude Code got at the minute `came`, and that was found later."""
    seen = usage(window("5h", percent, ends), at=after(minutes=came))
    return AnswerSeen(after(minutes=came if found is None else found), "a", seen)


def test_an_answer_that_claude_code_has_kept_replaces_what_is_older() -> None:
    start = changed(state(waiting("a", next_poll_at=after(hours=9))), figures("a", 90))
    account = changed(start, answer(3, came=16, found=16.2)).accounts["a"]
    assert account.usage == answer(3, came=16).usage
    assert account.last_success_at == after(minutes=16)
    assert (account.next_poll_at, account.requests) == (after(hours=9), ())


def test_an_answer_that_says_the_same_makes_the_figures_young() -> None:
    start = changed(state(waiting("a")), success("a", 42), answer(42, came=9))
    assert start.accounts["a"].last_success_at == after(minutes=9)
    assert start.accounts["a"].usage == answer(42, came=9).usage


def test_an_answer_mends_no_failing_poll_and_overtakes_none() -> None:
    down = PollFailed(after(minutes=1), "a", Failure(Reason.AUTH))
    start = changed(state(waiting("a")), success("a", 42, minute=1), down)
    assert changed(start, answer(90, came=1)).accounts == start.accounts
    account = changed(start, answer(3, came=2)).accounts["a"]
    assert account.down == Down(after(minutes=1), Failure(Reason.AUTH))


def told(start: State, *events: Event) -> list[tuple[AlertKind, float | None]]:
    """What the events tell, with its threshold; a pace is not what this is about."""
    found: list[tuple[AlertKind, float | None]] = []
    for event in events:
        start, effects = update(start, event)
        found += [(effect.kind, effect.threshold) for effect in effects]
    return [one for one in found if one[0] is not AlertKind.PACE]


def test_a_low_answer_alone_is_no_early_reset_and_a_second_one_is() -> None:
    start = changed(state(waiting("a")), success("a", 97))
    assert told(start, answer(0, came=1), answer(97, came=3), answer(0, came=5)) == []
    assert told(start, answer(0, came=1), answer(0, came=1.5), answer(0, came=3)) == [
        (AlertKind.EARLY_RESET, None)
    ]
    assert told(start, answer(0, came=1), figures("a", 97, minute=3), success("a", 97, 5)) == []


def test_an_answer_that_is_found_late_tells_only_what_is_still_so() -> None:
    start = changed(state(waiting("a")), success("a", 70))
    crossing = [(AlertKind.THRESHOLD, 0.95)]
    assert told(start, answer(96, came=5, found=60), success("a", 96, minute=70)) == crossing
    assert told(start, answer(96, came=5, found=181)) == [], "that window has ended"
    full = changed(state(waiting("a")), success("a", 97))
    opened = timedelta(hours=8)
    assert told(full, answer(2, came=181, found=185, ends=opened)) == [(AlertKind.RESET, None)]
    assert told(full, answer(2, came=181, found=200, ends=opened)) == [], "that is no news"


def test_a_credential_says_which_folder_it_came_from() -> None:
    start = state(live("a"))
    now = changed(start, CredentialSeen(NOW, "a", None, config_dir="~/work"))
    assert now.accounts["a"].config_dir == "~/work"
    assert changed(now, CredentialSeen(NOW, "a", None)).accounts["a"].config_dir is None


def test_a_login_that_is_gone_has_no_end_any_more() -> None:
    seen = changed(state(live("a")), CredentialSeen(NOW, "a", None, after(days=2)))
    assert seen.accounts["a"].login_expires_at == after(days=2)
    gone = changed(seen, CredentialSeen(NOW, "a", None))
    assert gone.accounts["a"].login_expires_at is None


names = st.sampled_from(["a", "b", "ghost"])
instants = st.floats(0, 1e5).map(lambda seconds: after(seconds=seconds))
some_usage = st.builds(
    lambda percent, minutes, at: usage(
        window("5h", percent, None if minutes is None else timedelta(minutes=minutes)), at=at
    ),
    st.floats(0, 200),
    st.none() | st.floats(-600, 600),
    instants,
)
events = st.one_of(
    st.builds(PollStarted, instants, names),
    st.builds(RequestSent, instants, names),
    st.builds(PollSucceeded, instants, names, some_usage, st.just(SECOND), st.floats(0, 0.99)),
    st.builds(
        PollFailed,
        instants,
        names,
        st.builds(
            Failure,
            st.sampled_from(list(Reason)),
            st.none() | st.sampled_from(list(Cause)),
            retry_after=st.none() | st.timedeltas(timedelta(0), timedelta(days=1)),
        ),
    ),
    st.builds(RefreshRequested, instants, st.none() | names),
    st.builds(LoginSeen, instants, st.none() | names),
    st.builds(FiguresSeen, instants, names, some_usage),
    st.builds(AnswerSeen, instants, names, some_usage),
    st.builds(LookedAround, instants),
    st.builds(ReloadFailed, instants),
    st.builds(ChannelsReplaced, instants, st.just(("desktop", "bell"))),
    st.builds(
        Restored,
        instants,
        st.dictionaries(names, st.builds(live, names, at=instants), max_size=2),
    ),
    st.builds(
        PolicyChanged,
        instants,
        st.builds(Policy, st.integers(30, 9999).map(lambda s: timedelta(seconds=s))),
    ),
    st.builds(CredentialSeen, instants, names, st.none() | instants, st.none(), st.booleans()),
    st.builds(ClockStepped, instants, st.timedeltas(-timedelta(days=1), timedelta(days=1))),
    st.builds(ClockCorrected, instants, st.timedeltas(-timedelta(days=1), timedelta(days=1))),
    st.builds(
        AccountsLoaded,
        instants,
        st.lists(names, unique=True).map(lambda ns: tuple(Account(n) for n in ns)),
        st.integers(-1, 3),
    ),
)


@given(st.lists(events, max_size=30))
def test_update_never_raises_and_views_can_always_be_made(happened: list[Event]) -> None:
    now = changed(state(live("a"), waiting("b")), *happened)
    for account in now.accounts.values():
        assert account.status(NOW) in AccountStatus
        assert all(w.utilization >= 0 for w in account.windows(NOW))
        account.values_are_fresh(NOW, now.policy.interval)


@pytest.mark.parametrize(
    "kind", [kind for kind in get_args(Event) if kind not in (LookedAround, ReloadFailed)]
)
def test_a_crash_report_names_the_event(kind: type[Event]) -> None:
    empty = object.__new__(kind)  # whatever is read of it fails
    with pytest.raises(AttributeError) as crash:
        update(state(live("a")), empty)
    assert f"at the event {kind.__name__}\n" in crash_report(crash.value)


def test_an_answer_without_any_limit_keeps_the_last_figures_and_is_a_failed_poll() -> None:
    start = loaded("a")
    start, _ = update(start, success("a", 97))
    start, effects = update(start, success("a", 98, minute=3))
    assert effects == ()
    empty = PollSucceeded(after(minutes=6), "a", usage(at=after(minutes=6)), SECOND)
    now, effects = update(start, empty)
    account = now.accounts["a"]
    assert effects == ()
    assert account.down is not None
    assert account.down.failure == Failure(Reason.SCHEMA, Cause.NO_LIMITS)
    assert account.failures == {Reason.SCHEMA: 1}
    assert account.last_success_at == after(minutes=3)
    assert [w.utilization for w in account.windows(after(minutes=6))] == [0.98]
    now, effects = update(now, success("a", 98, minute=9))
    assert effects == (), "no threshold is told twice"
    assert now.accounts["a"].down is None


def test_an_account_that_never_had_a_limit_is_up() -> None:
    now = changed(loaded("a"), PollSucceeded(NOW, "a", usage(), SECOND))
    assert now.accounts["a"].down is None


def test_limits_that_are_long_gone_are_not_waited_for() -> None:
    start = changed(loaded("a"), success("a", 97))
    later = after(days=8)
    now = changed(start, PollSucceeded(later, "a", usage(at=later), SECOND))
    assert now.accounts["a"].down is None


@pytest.mark.parametrize(
    ("key", "length"), [("5h", 5), ("5h_opus", 5), ("7d", 168), ("7d_opus", 168), ("odd", 168)]
)
def test_an_expected_reset_is_shown_for_one_length_of_the_window(key: str, length: int) -> None:
    seen = window(key, 97, timedelta(hours=1))
    assert seen.at(after(minutes=59)) == seen
    expected = seen.at(after(hours=length))
    assert expected is not None and (expected.utilization, expected.confirmed) == (0, False)
    assert seen.at(after(hours=1 + length)) is None
    assert live("a", seen).windows(after(hours=1 + length)) == ()


def test_an_end_that_cannot_be_read_tells_no_threshold_twice() -> None:
    start = changed(loaded("a"), success("a", 40))
    start, effects = update(start, success("a", 97, minute=3))
    assert len(effects) == 1
    for minute in (6, 9, 12):
        at = after(minutes=minute)
        event = PollSucceeded(at, "a", usage(window("5h", 97), at=at), SECOND)
        start, effects = update(start, event)
        assert effects == ()
