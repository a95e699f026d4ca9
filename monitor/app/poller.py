"""Polls each account when it is due, one request at a time for each, and never all accounts at once.

Due times are wall-clock instants in the state: timers stop while a machine sleeps. What is due is
looked up in short ticks, and each tick starts as few polls as keep up with the number of accounts. Only the first
polls go out a few together: somebody waits for the table.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

from monitor.core import events
from monitor.core.errors import ApiError, Cause, CredentialError, Failure, Reason
from monitor.core.model import Account, Credential, Usage
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from monitor.system.clock import ServerClock

_log = logging.getLogger(__name__)

TICK: Final = 0.5
FIRST_TICK: Final = 0.02
TICK_PER_ACCOUNT: Final = 0.0001
"""A tick is at least so long for each account, since it looks at all of them."""

FIRST_TOGETHER: Final = 8
STEP: Final = timedelta(seconds=5)

REFUSALS: Final = frozenset({Reason.AUTH, Reason.CREDENTIALS})
"""The credential is dead, or another account's: any other one may do."""


class CredentialSource(Protocol):
    """The poller's source of credentials."""

    async def credential(self, account: Account, rejected: Credential | None = None) -> Credential:
        """Return a credential worth sending; after a refusal another than the `rejected`. Raises CredentialError."""

    async def confirm(self, account: Account, credential: Credential) -> None:
        """Learn that the API has answered an unproven credential with the account's usage."""


class UsageSource(Protocol):
    """Asks for an account's usage."""

    async def usage(self, account: Account, credential: Credential) -> Usage:
        """Ask for the account's usage now. Raises ApiError."""


class Poller:
    """Turns due accounts into `PollSucceeded` and `PollFailed`. `chance` yields random numbers in [0, 1)."""

    def __init__(
        self,
        store: Store,
        clock: ServerClock,
        credentials: CredentialSource,
        api: UsageSource,
        chance: Callable[[], float],
        budget: RequestBudget,
    ) -> None:
        self._store = store
        self._clock = clock
        self._credentials = credentials
        self._api = api
        self._chance = chance
        self._budget = budget
        self._newest: dict[str, object] = {}
        self._logged: dict[str, tuple[str, ...]] = {}

    async def run(self) -> None:
        """Poll until cancelled. Anything but an expected failure is a bug, and is raised."""
        async with asyncio.TaskGroup() as polls:
            while True:
                for name in self._due():
                    self._store.dispatch(events.PollStarted(self._clock.now(), name))
                    polls.create_task(self.poll(name), name=f"poll {name}")
                await self._tick()

    async def poll(self, name: str) -> None:
        """Poll one account once, due or not, and dispatch the outcome, unless the account is gone by then."""
        state = self._store.state.accounts.get(name)
        if state is None:
            return
        this = self._newest[name] = object()
        started = self._clock.monotonic()
        result: Usage | Failure | None
        try:
            result = await self._usage(replace(state.account, org_id=state.org_id))
        except (ApiError, CredentialError) as error:
            result = error.failure
        self._correct_clock()
        state = self._store.state.accounts.get(name)
        if state is None or not state.polling or self._newest[name] is not this:
            return  # the account has been edited meanwhile, and this is about the one before
        now, duration = self._clock.now(), timedelta(seconds=self._clock.monotonic() - started)
        event: events.Event
        match result:
            case None:
                event = events.PollPostponed(now, name)
            case Failure():
                event = events.PollFailed(now, name, result, duration, self._chance())
            case Usage(left_out=left_out):
                event = events.PollSucceeded(now, name, result, duration, self._chance())
                if left_out and left_out != self._logged.get(name):
                    self._logged[name] = left_out
                    _log.warning("%s: not understood: %s", name, "; ".join(left_out))
        self._store.dispatch(event)

    def _due(self) -> list[str]:
        """Return the accounts to start in this tick, most overdue first; none where the API is not to be asked."""
        now, policy = self._clock.now(), self._store.state.policy
        accounts = self._store.state.accounts if policy.polls else {}
        due = [(a.next_poll_at, n) for n, a in accounts.items() if a.next_poll_at <= now]
        late = [name for _at, name in sorted(due) if not accounts[name].polling]
        first = [name for name in late if name not in self._newest]
        room = FIRST_TOGETHER - sum(account.polling for account in accounts.values())
        at_once = math.ceil(2 * len(accounts) * TICK / policy.interval.total_seconds())
        return [*first[: max(room, 0)], *[name for name in late if name in self._newest][:at_once]]

    async def _tick(self) -> None:
        """Sleep, at most until a first poll is due, and notice a wall clock that was set meanwhile."""
        now, state = self._clock.now(), self._store.state
        accounts = state.accounts.items() if state.policy.polls else ()
        firsts = (a.next_poll_at for n, a in accounts if n not in self._newest)
        wait = min(((at - now).total_seconds() for at in firsts), default=TICK)
        shortest = max(FIRST_TICK, TICK_PER_ACCOUNT * len(state.accounts))
        machine = self._clock.machine
        wall, mono = machine.now(), machine.monotonic()
        await machine.sleep(min(max(wait, shortest), TICK))
        passed = timedelta(seconds=machine.monotonic() - mono)
        step = machine.now() - wall - passed
        if abs(step) > STEP:
            self._store.dispatch(events.ClockStepped(self._clock.now(), step))
        self._correct_clock()

    def _correct_clock(self) -> None:
        """Correct the clock by the newest answer's date, before the state gets that answer."""
        offset = self._clock.found
        if offset != self._clock.offset:
            self._clock.offset = offset
            words = f"{-offset.total_seconds():+.0f} s off" if offset else "right by"
            _log.warning("this machine's clock is %s the API's, which figures go by", words)
            self._store.dispatch(events.ClockCorrected(self._clock.now(), offset))

    async def _usage(self, account: Account) -> Usage | None:
        """Send a request, and a second one with another credential where the first was refused and the budget allows.

        None where the budget of the hour does not allow the first one.
        """
        credential = await self._credentials.credential(account)
        if not await self._acquire_request(account.name):
            return None
        try:
            return await self._ask(account, credential)
        except ApiError as refusal:
            if refusal.reason not in REFUSALS:
                raise
            try:
                other = await self._credentials.credential(account, rejected=credential)
            except CredentialError:
                if refusal.cause is Cause.WRONG_ORGANIZATION:  # it is good, for another one
                    raise refusal from None
                raise
            if other == credential or not await self._acquire_request(account.name):
                raise
        return await self._ask(account, other)

    async def _acquire_request(self, name: str) -> bool:
        """Count one more request, if the budget allows it; the state then knows what all processes have sent."""
        state, now, offset = self._store.state, self._clock.now(), self._clock.offset
        account = state.accounts.get(name)
        if account is None:
            return False
        sent = await self._budget.acquire(account, state.policy.interval, now)
        by = self._clock.offset - offset  # the answer to another poll may have corrected the clock
        sent, now = sent.shift(by), now + by
        account = self._store.state.accounts.get(name)
        if account is None:
            return False
        if (sent.requests, sent.backoff_until) != (account.requests, account.backoff_until):
            counted = events.RequestsCounted(now, name, sent.requests, sent.backoff_until)
            self._store.dispatch(counted)
        if sent.allowed:
            self._store.dispatch(events.RequestSent(now, name))
        return sent.allowed

    async def _ask(self, account: Account, credential: Credential) -> Usage:
        usage = await self._api.usage(account, credential)
        if not credential.proven:
            await self._credentials.confirm(account, credential)
        return usage
