"""The poller over real time-keeping (a clock turned by hand) and fakes at its two seams."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from monitor.app.poller import Poller
from monitor.core.errors import ApiError, CredentialError, Failure, Reason, describe
from monitor.core.events import (
    AccountIdentified,
    AccountsLoaded,
    PolicyChanged,
    PollStarted,
    RefreshRequested,
)
from monitor.core.model import Account, AccountState, Credential, Identity, Secret, Usage
from monitor.core.schedule import SentRequests
from monitor.core.state import Policy, State
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from monitor.system.clock import ServerClock
from tests.builders import window
from tests.fakes import FakeClock, OwnRequests, settle

OLD, NEW = Credential(Secret("old")), Credential(Secret("new"), proven=False)


@dataclass
class FakeCredentials:
    now: Credential = OLD
    renewed: Credential | None = None
    error: CredentialError | None = None
    confirmed: list[Credential] = field(default_factory=list)

    async def confirm(self, _: Account, credential: Credential) -> None:
        self.confirmed.append(credential)

    async def credential(self, _: Account, rejected: Credential | None = None) -> Credential:
        if self.error:
            raise self.error
        if rejected == self.now and self.renewed:
            self.now = self.renewed
        return self.now


@dataclass
class FakeApi:
    """Answers with the newest of `answers`, and notes who asked when."""

    clock: FakeClock
    answer: Callable[[Account, Credential], Usage | Exception | None] | None = None
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    at_once: int = 0
    most_at_once: int = 0

    async def usage(self, account: Account, credential: Credential) -> Usage:
        self.asked.append((account.name, self.clock.now()))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            if self.hold:
                await self.hold.wait()
            answer = self.answer(account, credential) if self.answer else None
        finally:
            self.at_once -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer or Usage(self.clock.now(), (window("7d", 5, timedelta(days=3)),))

    def times(self, name: str) -> list[datetime]:
        return [at for who, at in self.asked if who == name]


class PollerRig:
    """A store with accounts, a clock, fakes and a poller over them."""

    def __init__(self, *names: str, interval: float = 180) -> None:
        self.clock = FakeClock()
        self.server_clock = ServerClock(self.clock)
        self.store = Store(State(policy=Policy(interval=timedelta(seconds=interval))))
        self.credentials = FakeCredentials()
        self.api = FakeApi(self.clock)
        self.load(*names)
        self.poller_with(OwnRequests())

    def poller_with(self, budget: RequestBudget) -> None:
        self.poller = Poller(
            self.store, self.server_clock, self.credentials, self.api, lambda: 0.0, budget
        )

    def load(self, *names: str, renamed: dict[str, str] | None = None) -> None:
        accounts = tuple(Account(name, f"org-{name}") for name in names)
        self.store.dispatch(AccountsLoaded(self.clock.now(), accounts, renamed=renamed or {}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_every_account_is_polled_soon_and_then_once_in_each_interval() -> None:
    rig = PollerRig("a", "b", "c")
    async with rig.running():
        await rig.clock.advance(3600)
    for name in "abc":
        assert 19 <= len(rig.api.times(name)) <= 21


async def test_the_first_polls_go_out_together_a_few_at_a_time() -> None:
    names = [f"account {number}" for number in range(20)]
    rig = PollerRig(*names)
    hold = rig.api.hold = asyncio.Event()
    async with rig.running():
        await rig.clock.advance(3, tick=0.05)
        assert rig.api.most_at_once == 8
        hold.set()
        await rig.clock.advance(1.2, tick=0.05)
        assert sorted(who for who, _ in rig.api.asked) == sorted(names)
        await rig.clock.advance(180 * 1.1, tick=0.5)
    assert sorted(who for who, _ in rig.api.asked) == sorted(2 * names)


async def test_later_polls_never_come_in_a_burst() -> None:
    rig = PollerRig(*"abcdefgh")
    async with rig.running():
        await rig.clock.advance(1200, tick=0.5)
    times = sorted(at for _, at in rig.api.asked)[8:]
    gaps = [late - early for early, late in pairwise(times)]
    assert min(gaps) >= timedelta(seconds=0.5)
    later = [at for at in times if at > times[0] + timedelta(minutes=10)]
    assert max(b - a for a, b in pairwise(later)) < timedelta(seconds=90), "half an interval"


async def test_after_a_suspend_the_accounts_are_polled_one_after_the_other() -> None:
    rig = PollerRig("a", "b", "c")
    async with rig.running():
        await rig.clock.advance(30, tick=0.5)
        rig.api.asked.clear()
        rig.clock.step(timedelta(hours=9))
        await rig.clock.advance(5, tick=0.5)
    times = [at for _, at in rig.api.asked]
    assert len(set(times)) == len(times) == 3


async def test_a_clock_set_back_neither_stops_nor_hurries_the_polls() -> None:
    rig = PollerRig("a")
    async with rig.running():
        await rig.clock.advance(10)
        rig.clock.step(-timedelta(hours=2))
        await rig.clock.advance(165)
        assert len(rig.api.asked) == 1
        await rig.clock.advance(20)
        assert len(rig.api.asked) == 2


async def test_an_account_has_one_request_under_way_at_most() -> None:
    rig = PollerRig("a")
    rig.api.hold = asyncio.Event()
    async with rig.running():
        await rig.clock.advance(2)
        rig.store.dispatch(RefreshRequested(rig.clock.now()))
        await rig.clock.advance(600)
        assert rig.api.most_at_once == 1
        rig.api.hold.set()
        await settle()
    assert len(rig.api.asked) == 1


async def test_a_slow_account_does_not_hold_up_the_others() -> None:
    rig = PollerRig("slow", "quick")
    hold = rig.api.hold = asyncio.Event()
    async with rig.running():
        await rig.clock.advance(0.01, tick=0.01)
        rig.api.hold = None
        await rig.clock.advance(400)
    assert not hold.is_set()
    assert len(rig.api.times("slow")) == 1
    assert len(rig.api.times("quick")) >= 2


async def test_a_refresh_polls_at_once() -> None:
    rig = PollerRig("a")
    async with rig.running():
        await rig.clock.advance(60)
        rig.store.dispatch(RefreshRequested(rig.clock.now(), "a"))
        await rig.clock.advance(1)
    assert len(rig.api.asked) == 2


async def test_a_refresh_waits_for_the_end_of_a_back_off() -> None:
    rig = PollerRig("a")
    rig.api.answer = lambda *_: ApiError(
        Failure(Reason.RATE_LIMITED, retry_after=timedelta(hours=1))
    )
    async with rig.running():
        await rig.clock.advance(60)
        rig.store.dispatch(RefreshRequested(rig.clock.now(), "a"))
        await rig.clock.advance(3000)
        assert len(rig.api.asked) == 1
        await rig.clock.advance(700)
        assert len(rig.api.asked) == 2


async def test_one_extra_poll_follows_a_reset() -> None:
    rig = PollerRig("a")
    reset = rig.clock.now() + timedelta(seconds=60)
    rig.api.answer = lambda *_: Usage(rig.clock.now(), (window("5h", 65, timedelta(seconds=60)),))
    async with rig.running():
        await rig.clock.advance(130)
    assert [at >= reset + timedelta(seconds=30) for at in rig.api.times("a")] == [False, True]


async def test_a_renewed_credential_is_tried_once_after_a_refusal() -> None:
    rig = PollerRig("a")
    rig.credentials.renewed = NEW
    refusal = ApiError(Failure(Reason.AUTH, detail="expired"))
    good = Usage(rig.clock.now(), (window("5h", 42),))
    rig.api.answer = lambda _, credential: refusal if credential == OLD else good
    async with rig.running():
        await rig.clock.advance(2)
    assert rig.store.state.accounts["a"].usage == good
    assert len(rig.api.asked) == 2


async def test_a_refusal_stands_where_the_hour_has_no_room_for_a_second_try() -> None:
    rig = PollerRig("a", interval=130)
    rig.credentials.renewed = NEW
    refusal = ApiError(Failure(Reason.AUTH, detail="expired"))
    rig.api.answer = lambda _, credential: refusal if credential == OLD else None
    async with rig.running():
        await rig.clock.advance(2)
        assert len(rig.api.asked) == 1
        assert rig.store.state.accounts["a"].down is not None
        await rig.clock.advance(140)
    assert len(rig.api.asked) == 2, "the renewed one has its turn"
    assert rig.store.state.accounts["a"].last_success_at == rig.api.times("a")[1]


@dataclass
class FakeBudget(RequestBudget):
    """Of what other processes have sent: no more than this many requests may follow."""

    others: tuple[datetime, ...] = ()
    backoff_until: datetime | None = None
    left: int = 0

    async def acquire(
        self, account: AccountState, _base: timedelta, _now: datetime
    ) -> SentRequests:
        requests = tuple(sorted({*account.requests, *self.others}))
        self.left -= 1
        return SentRequests(requests, self.backoff_until, allowed=self.left >= 0)


async def test_what_other_processes_have_sent_postpones_a_poll() -> None:
    rig = PollerRig("a")
    others = tuple(rig.clock.now() - timedelta(seconds=100 * n) for n in range(28, 0, -1))
    rig.poller_with(FakeBudget(others))
    async with rig.running():
        await rig.clock.advance(1)
    account = rig.store.state.accounts["a"]
    assert rig.api.asked == []
    assert (account.polling, account.requests, account.failures_in_a_row) == (False, others, 0)
    assert account.next_poll_at > rig.clock.now()


async def test_a_back_off_that_another_process_was_told_is_respected_and_shown() -> None:
    rig = PollerRig("a")
    until = rig.clock.now() + timedelta(minutes=40)
    rig.poller_with(FakeBudget(backoff_until=until))
    async with rig.running():
        await rig.clock.advance(1)
        account = rig.store.state.accounts["a"]
    assert (rig.api.asked, account.backoff_until, account.next_poll_at) == ([], until, until)


@pytest.mark.parametrize("off", [timedelta(hours=3), -timedelta(hours=3)])
async def test_a_request_that_is_counted_while_the_clock_is_corrected_is_one_of_the_new_time(
    off: timedelta,
) -> None:
    """The answer to the first account's poll comes while the second one's request is being counted."""
    rig = PollerRig("a", "b", interval=30)
    is_counting = rig.api.hold = asyncio.Event()

    class SlowForOne(OwnRequests):
        async def acquire(
            self, account: AccountState, base: timedelta, now: datetime
        ) -> SentRequests:
            sent = await super().acquire(account, base, now)
            while account.account.name == "b" and rig.server_clock.offset != off:
                is_counting.set()
                await asyncio.sleep(0)
            return sent

    def answer(account: Account, _: Credential) -> None:
        if account.name == "a":
            rig.server_clock.found = off

    rig.poller_with(SlowForOne())
    rig.api.answer = answer
    async with rig.running():
        await rig.clock.advance(1, tick=0.02)
        await rig.clock.advance(99)
    assert rig.server_clock.offset == off
    assert 3 <= len(rig.api.times("b")) <= 4
    requests = rig.store.state.accounts["b"].requests
    assert all(timedelta(0) <= rig.server_clock.now() - at <= timedelta(hours=1) for at in requests)


async def test_a_second_try_needs_room_among_all_processes() -> None:
    rig = PollerRig("a")
    rig.credentials.renewed = NEW
    rig.api.answer = lambda *_: ApiError(Failure(Reason.AUTH, detail="refused"))
    rig.poller_with(FakeBudget(left=1))
    async with rig.running():
        await rig.clock.advance(1)
    down = rig.store.state.accounts["a"].down
    assert down is not None
    assert (down.failure.reason, len(rig.api.asked)) == (Reason.AUTH, 1)


async def test_refreshes_without_end_keep_to_28_requests_an_hour() -> None:
    rig = PollerRig("a")
    async with rig.running():
        for _ in range(720):
            rig.store.dispatch(RefreshRequested(rig.clock.now(), "a"))
            await rig.clock.advance(10)
    times = rig.api.times("a")
    assert max(sum(at <= t <= at + timedelta(hours=1) for t in times) for at in times) <= 28
    assert len(times) > 40


async def test_a_refused_credential_without_a_newer_one_is_sent_once() -> None:
    rig = PollerRig("a")
    rig.api.answer = lambda *_: ApiError(Failure(Reason.AUTH, detail="expired"))
    async with rig.running():
        await rig.clock.advance(2)
    assert len(rig.api.asked) == 1
    down = rig.store.state.accounts["a"].down
    assert down is not None
    assert down.failure.reason is Reason.AUTH


async def test_a_credential_of_another_organization_is_not_the_last_one_tried() -> None:
    rig = PollerRig("a")
    rig.credentials.renewed = NEW
    mixed_up = ApiError(Failure(Reason.CREDENTIALS, detail="of another organization"))
    rig.api.answer = lambda _, credential: mixed_up if credential == OLD else None
    async with rig.running():
        await rig.clock.advance(1)
    assert len(rig.api.asked) == 2
    assert rig.store.state.accounts["a"].usage is not None
    assert rig.credentials.confirmed == [NEW], "what the API has answered, and nothing else"


async def test_an_answer_is_held_against_the_organization_that_was_learnt_of_the_account() -> None:
    rig = PollerRig()
    rig.store.dispatch(AccountsLoaded(rig.clock.now(), (Account("a"),)))
    identified = AccountIdentified(rig.clock.now(), "a", Identity("me", "org-7"), None)
    rig.store.dispatch(identified)
    asked_of: list[str] = []
    rig.api.answer = lambda account, _: asked_of.append(account.org_id)
    async with rig.running():
        await rig.clock.advance(1)
    assert asked_of == ["org-7"]


async def test_without_a_credential_nothing_is_sent() -> None:
    rig = PollerRig("a")
    rig.credentials.error = CredentialError(
        Failure(Reason.CREDENTIALS, detail="the keyring is locked")
    )
    async with rig.running():
        await rig.clock.advance(2)
    account = rig.store.state.accounts["a"]
    assert account.down is not None
    assert describe(account.down.failure) == "the keyring is locked"
    assert (rig.api.asked, account.requests, account.polls) == ([], (), 1)


async def test_every_request_is_counted() -> None:
    rig = PollerRig("a")
    rig.credentials.renewed = NEW
    rig.api.answer = lambda *_: ApiError(Failure(Reason.AUTH, detail="expired"))
    async with rig.running():
        await rig.clock.advance(2)
    assert len(rig.store.state.accounts["a"].requests) == len(rig.api.asked) == 2


async def test_an_answer_for_an_account_that_was_removed_meanwhile_is_dropped() -> None:
    rig = PollerRig("a")
    rig.api.hold = asyncio.Event()
    async with rig.running():
        await rig.clock.advance(1)
        rig.load("b")
        rig.api.hold.set()
        await rig.clock.advance(1)
    assert list(rig.store.state.accounts) == ["b"]


async def test_a_renamed_account_is_polled_on_under_its_new_name() -> None:
    rig = PollerRig("a")
    rig.api.hold = asyncio.Event()
    async with rig.running():
        await rig.clock.advance(1)
        rig.load("z", renamed={"a": "z"})
        rig.api.hold.set()
        await rig.clock.advance(1)
    assert rig.store.state.accounts["z"].usage is not None


async def test_usage_of_the_former_organization_is_not_booked_on_the_new_one() -> None:
    rig = PollerRig("a")
    first = rig.api.hold = asyncio.Event()
    usage = {
        "org-a": window("5h", 97, timedelta(hours=1)),
        "org-z": window("5h", 3, timedelta(hours=1)),
    }
    rig.api.answer = lambda account, _: Usage(rig.clock.now(), (usage[account.org_id],))
    async with rig.running():
        await rig.clock.advance(1)
        rig.api.hold = second = asyncio.Event()
        moved = (Account("a", "org-z"),)
        rig.store.dispatch(AccountsLoaded(rig.clock.now(), moved))
        await rig.clock.advance(1)
        first.set()
        await rig.clock.advance(1)
        before = rig.store.state
        second.set()
        await rig.clock.advance(1)
    assert before.accounts["a"].usage is None
    booked = rig.store.state.accounts["a"].usage
    assert booked is not None
    assert booked.windows == (usage["org-z"],)


async def test_an_account_that_is_removed_as_its_poll_begins_is_not_asked_about() -> None:
    rig = PollerRig("a", "b")
    poll = asyncio.create_task(rig.poller.poll("a"))
    rig.load("b")
    await poll
    assert rig.api.asked == []


async def test_what_is_left_out_of_an_answer_is_logged_once_per_account_and_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    texts = iter(["7d: no number", "7d: no number", "5h: no time", "5h: no time"])

    def answer(*_: object) -> Usage:
        seen = (window("7d", 5, timedelta(days=3)),)
        return Usage(rig.clock.now(), seen, left_out=(next(texts),))

    rig = PollerRig("a")
    rig.api.answer = answer
    for _ in range(4):
        rig.store.dispatch(PollStarted(rig.clock.now(), "a"))
        await rig.poller.poll("a")
    assert [record.message for record in caplog.records] == [
        "a: not understood: 7d: no number",
        "a: not understood: 5h: no time",
    ]


async def test_a_bug_ends_the_poller_loudly() -> None:
    rig = PollerRig("a")
    rig.api.answer = lambda *_: ZeroDivisionError("a bug")
    with pytest.raises(ExceptionGroup) as group:
        task = asyncio.create_task(rig.poller.run())
        await rig.clock.advance(2)
        await task
    assert group.group_contains(ZeroDivisionError)


async def test_where_the_api_is_not_to_be_asked_no_poll_starts_and_one_under_way_ends() -> None:
    rig = PollerRig("a", "b")
    rig.api.hold = asyncio.Event()
    async with rig.running():
        await rig.clock.advance(0.01, tick=0.01)
        rig.store.dispatch(PolicyChanged(rig.clock.now(), Policy(polls=False)))
        await rig.clock.advance(10)
        rig.api.hold.set()
        await rig.clock.advance(10)
        assert rig.store.state.accounts["a"].usage is not None
        assert len(rig.api.asked) == 1
