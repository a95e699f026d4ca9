"""What an earlier process knew, taken up by the next: figures, health, due times; and settings that were reloaded."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import Condition, RuleBook, WindowMemory
from monitor.core.errors import Failure, Reason
from monitor.core.events import AccountsLoaded, Event, PolicyChanged, Restored
from monitor.core.model import Account, AccountState, AuthMethod, Down, Identity
from monitor.core.state import Policy, State
from monitor.core.update import update
from tests.builders import NOW, after, before, live, state, waiting, window

ACCOUNT = Account("a", "org-a", label="of the settings")
KNOWN = live(
    "a",
    window("5h", 42, timedelta(hours=2)),
    at=before(minutes=1),
    next_poll_at=after(minutes=2),
    polls=9,
    phase=0.25,
    failures={Reason.TIMEOUT: 3},
    poll_duration=timedelta(seconds=1),
    identity=Identity("person", "organization"),
    plan="pro",
    token_expires_at=after(hours=3),
    login_expires_at=after(days=3),
)


def changed(start: State, *events: Event) -> State:
    for event in events:
        start, _ = update(start, event)
    return start


def restored(*known: AccountState, interval: float = 180) -> dict[str, AccountState]:
    """The accounts of a process that begins at NOW, with what the one before left of them."""
    accounts = tuple(replace(a.account, label="of the settings") for a in known)
    start = State(Policy(timedelta(seconds=interval)))
    left = {a.account.name: a for a in known}
    now = changed(start, Restored(NOW, left), AccountsLoaded(NOW, accounts))
    assert not now.restored
    return dict(now.accounts)


def one(known: AccountState, interval: float = 180) -> AccountState:
    return restored(known, interval=interval)[known.account.name]


def test_an_account_goes_on_as_it_was_under_the_settings_of_now() -> None:
    assert one(replace(KNOWN, polling=True)) == replace(KNOWN, account=ACCOUNT)


def test_memory_by_a_clock_that_was_set_back_since_moves_alone() -> None:
    memory = WindowMemory(after(hours=2), 0.42, after(hours=4), 0.42)
    condition = Condition(after(hours=1), told_at=after(hours=2))
    now = one(replace(KNOWN, alerts={"5h": memory}, conditions={"login:": condition}))
    assert now.alerts == {"5h": replace(memory, at=NOW)}
    assert now.conditions == {"login:": Condition(before(hours=1), told_at=NOW)}
    assert now.last_success_at == KNOWN.last_success_at


def test_nothing_is_sent_before_its_time() -> None:
    blocked = replace(
        KNOWN,
        down=Down(before(minutes=9), Failure(Reason.RATE_LIMITED)),
        backoff_until=after(minutes=40),
        next_poll_at=after(minutes=40),
        interval=timedelta(minutes=45),
        throttled_at=before(minutes=1),
        failures_in_a_row=2,
    )
    assert one(blocked) == replace(blocked, account=ACCOUNT)


def test_polls_that_fell_due_meanwhile_come_one_after_the_other() -> None:
    def left(name: str, due: float) -> AccountState:
        return live(name, at=before(hours=9), polls=9, next_poll_at=after(minutes=due))

    now = restored(left("a", -500), left("b", 1), left("c", -1))
    assert [a.next_poll_at for a in now.values()] == [NOW, after(minutes=1), after(seconds=0.08)]
    assert now["a"].requests == (), "nine hours ago counts no more"


def test_requests_of_the_last_hour_count_on() -> None:
    sent = (before(minutes=61), before(minutes=59), before(minutes=1))
    assert one(replace(KNOWN, requests=sent)).requests == sent[1:]


def test_another_organization_has_nothing_to_take_up() -> None:
    events = Restored(NOW, {"a": KNOWN}), AccountsLoaded(NOW, (Account("a", "elsewhere"),))
    fresh = changed(State(), *events).accounts["a"]
    assert (fresh.usage, fresh.down, fresh.next_poll_at) == (None, None, NOW)
    unknown = replace(KNOWN, account=Account("a"))
    assert one(unknown).usage == KNOWN.usage


def test_accounts_that_come_back_within_a_day_have_what_was_known_of_them() -> None:
    start = changed(State(), Restored(NOW, {"a": KNOWN, "b": KNOWN}), AccountsLoaded(NOW, ()))
    again = changed(start, AccountsLoaded(after(hours=23), (ACCOUNT,)))
    assert again.accounts["a"].usage == KNOWN.usage
    gone = changed(again, AccountsLoaded(after(hours=23.5), ()))
    back = changed(gone, AccountsLoaded(after(hours=23.8), (ACCOUNT,)))
    assert back.accounts["a"].usage == KNOWN.usage


def test_accounts_that_come_back_later_are_new() -> None:
    start = changed(State(), Restored(NOW, {"a": KNOWN, "b": KNOWN}), AccountsLoaded(NOW, ()))
    gone = changed(start, AccountsLoaded(after(hours=25), ()))
    assert not gone.restored
    assert changed(gone, AccountsLoaded(after(hours=25), (ACCOUNT,))).accounts["a"].usage is None


def test_a_shorter_interval_is_followed_by_what_is_restored() -> None:
    shorter = one(KNOWN, interval=100)
    assert (shorter.next_poll_at, shorter.interval) == (
        after(seconds=40),
        timedelta(seconds=100),
    )
    assert one(KNOWN, interval=600).next_poll_at == KNOWN.next_poll_at


def test_a_clock_that_was_set_back_meanwhile_moves_what_is_left() -> None:
    """Two hours, say: the request of a minute ago is an hour and 59 minutes to come."""
    ahead = live("a", at=after(minutes=119), polls=9, next_poll_at=after(minutes=122))
    now = one(ahead)
    assert now.requests == (NOW,)
    assert now.last_success_at == NOW
    assert now.next_poll_at == after(minutes=3)


def test_no_due_time_is_farther_off_than_an_hour_and_a_quarter() -> None:
    lost = replace(KNOWN, next_poll_at=after(days=400), backoff_until=after(days=400))
    assert one(lost).next_poll_at == after(minutes=75)
    assert one(lost).backoff_until == after(minutes=75)
    assert one(lost, interval=7200).next_poll_at == after(hours=4)


instants = st.floats(-1e6, 1e6).map(lambda seconds: after(seconds=seconds))
left = st.builds(
    AccountState,
    st.sampled_from([ACCOUNT, Account("a")]),
    instants,
    st.floats(0, 1e5).map(lambda s: timedelta(seconds=s)),
    down=st.sampled_from([None, *(Down(NOW, Failure(reason)) for reason in Reason)]),
    requests=st.lists(instants, max_size=40).map(sorted).map(tuple),
    backoff_until=st.none() | instants,
    throttled_at=st.none() | instants,
    failures_in_a_row=st.integers(0, 99),
)


@given(left, st.floats(30, 7200))
def test_whatever_is_left_an_account_is_polled_again(known: AccountState, interval: float) -> None:
    latest = NOW + max(timedelta(seconds=2 * interval), timedelta(minutes=75))
    now = one(known, interval)
    assert NOW <= now.next_poll_at <= latest + timedelta(seconds=5)
    assert all(at <= NOW for at in now.requests)


def test_reloaded_settings_hold_at_once() -> None:
    memory = {"5h": WindowMemory(NOW, 0.42, after(hours=2), 0.42)}
    start = state(replace(KNOWN, alerts=memory), waiting("b"))
    policy = Policy(timedelta(seconds=100), RuleBook(thresholds=(0.5,)))
    now = changed(start, PolicyChanged(NOW, policy))
    assert now.policy == policy
    assert now.accounts["a"].next_poll_at == after(seconds=40)
    assert now.accounts["a"].alerts == memory
    assert now.accounts["b"].next_poll_at == NOW
    assert {a.interval for a in now.accounts.values()} == {policy.interval}


def test_a_poll_that_is_under_way_is_still_waited_for_by_other_settings() -> None:
    start = state(replace(KNOWN, polling=True), waiting("b"), logged_in="a")
    now = changed(start, PolicyChanged(NOW, Policy(timedelta(seconds=100))))
    assert now.accounts["a"].polling
    assert now.logged_in == "a"


def test_settings_that_forbid_polls_forget_that_they_failed() -> None:
    policy = Policy(polls=False)
    failing = replace(KNOWN, down=Down(NOW, Failure(Reason.TIMEOUT)), failures_in_a_row=1)
    now = changed(state(failing), PolicyChanged(NOW, policy))
    assert now.accounts["a"].down is None
    assert now.looked_around, "logins and figures have been followed all along"


def test_settings_that_allow_polls_have_a_first_round_before_them() -> None:
    start = state(KNOWN, policy=Policy(polls=False), looked_around=True)
    assert changed(start, PolicyChanged(NOW, Policy(polls=False))).looked_around
    assert not changed(start, PolicyChanged(NOW, Policy())).looked_around


def test_other_rules_leave_the_schedule() -> None:
    start = state(KNOWN)
    same = replace(start.policy, alerts=RuleBook(thresholds=(0.5,)))
    assert changed(start, PolicyChanged(NOW, same)).accounts["a"] == KNOWN


@pytest.mark.parametrize(
    ("org_id", "known_of", "same"),
    [("o", "o", True), ("o", "", True), ("o", "p", False), ("", "p", False), ("", "", True)],
)
def test_limits_are_those_of_one_organization_or_of_one_not_known_yet(
    org_id: str, known_of: str, same: bool
) -> None:
    assert Account("a", org_id).has_limits_of(known_of) is same


NAMED = Account("me", "org-a")
OWN = Account("me", config_dir="~/.claude-work")


@pytest.mark.parametrize(
    ("new", "is_known"),
    [
        pytest.param([NAMED], True, id="the organization is the same"),
        pytest.param([replace(NAMED, org_id="org-b")], False, id="it is another one"),
        pytest.param([replace(NAMED, org_id="")], False, id="it is not said"),
        pytest.param([replace(NAMED, label="work", reserve=0.1)], True, id="with other settings"),
        pytest.param(
            [replace(NAMED, auth_method=AuthMethod.SESSION_KEY)], False, id="it is read otherwise"
        ),
        pytest.param([replace(NAMED, name="me@work.com")], True, id="now by its address"),
        pytest.param([NAMED, ACCOUNT], False, id="the old one is still there"),
        pytest.param([NAMED, Account("you", "org-a")], False, id="it might be two"),
    ],
)
@pytest.mark.parametrize("is_running", [True, False])
def test_an_account_that_was_renamed_in_the_settings_keeps_what_is_known(
    new: list[Account], is_known: bool, is_running: bool
) -> None:
    memory = {"5h": WindowMemory(before(minutes=1), 0.42, after(hours=2), 0.42)}
    start = changed(State(), Restored(NOW, {"a": replace(KNOWN, alerts=memory)}))
    if is_running:
        start = changed(start, AccountsLoaded(NOW, (ACCOUNT,)))
    now = changed(start, AccountsLoaded(NOW, tuple(new)))
    one = now.accounts[new[0].name]
    assert (one.usage == KNOWN.usage, one.alerts == memory) == (is_known, is_known)
    assert one.account == new[0]
    assert ("a" in {**now.accounts, **now.restored}) is not is_known


@pytest.mark.parametrize(
    ("old", "new", "is_known"),
    [
        pytest.param(OWN, replace(OWN, name="x"), True, id="the same folder"),
        pytest.param(OWN, replace(OWN, name="x", config_dir="~/.claude-2"), False, id="another"),
        pytest.param(Account("me"), Account("x"), False, id="nothing is said of either"),
        pytest.param(
            Account("me", token_command=("pass", "a")),
            Account("x", token_command=("pass", "a")),
            True,
            id="the same program",
        ),
        pytest.param(OWN, replace(OWN, name="x", org_id="org-1"), True, id="and an organization"),
        pytest.param(
            Account("a@work.com", "org-a"),
            Account("b@work.com", "org-a"),
            False,
            id="two addresses are two persons",
        ),
        pytest.param(
            Account("a@work.com", "org-a"),
            Account("a@work.com (Work)", "org-a"),
            True,
            id="one address with its organization",
        ),
    ],
)
def test_an_account_without_an_organization_is_known_by_where_its_token_is(
    old: Account, new: Account, is_known: bool
) -> None:
    known = replace(KNOWN, account=old, identity=None)
    start = changed(State(), Restored(NOW, {old.name: known}), AccountsLoaded(NOW, (old,)))
    now = changed(start, AccountsLoaded(NOW, (new,)))
    assert (now.accounts[new.name].usage is not None) is is_known


def test_an_organization_of_several_accounts_is_not_enough() -> None:
    team = [Account(name, "org-a", config_dir=f"/{name}") for name in ("a", "b")]
    known = {a.name: replace(KNOWN, account=a) for a in team}
    start = changed(State(), Restored(NOW, known), AccountsLoaded(NOW, tuple(team)))
    for folder, is_known in (("/a", True), ("/c", False), (None, False)):
        new = Account("c", "org-a", config_dir=folder)
        now = changed(start, AccountsLoaded(NOW, (new, team[1])))
        assert (now.accounts["c"].usage is not None) is is_known
