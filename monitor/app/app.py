"""All parts of a running program over one store, and the one TaskGroup that they live in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from monitor.api.client import ApiHosts, Client
from monitor.app.forecaster import Forecaster
from monitor.app.past_samples import History, Others
from monitor.app.poller import Poller
from monitor.core import events
from monitor.core.alerts.conditions import firing_alerts
from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import ChannelError
from monitor.core.schedule import FIRST_STAGGER, is_in_turn
from monitor.credentials.accounts import AccountService
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.local_usage import LocalUsage
from monitor.credentials.stores import SecretStores
from monitor.credentials.watcher import LoginWatcher
from monitor.notify.channel import ChannelSet, SendResult, send_to_each
from monitor.notify.channels.alertmanager import Alertmanager
from monitor.notify.queue import Notifier
from monitor.settings import Settings, policy_of
from monitor.storage.cache import Cached, Mute
from monitor.storage.deliveries import Journal
from monitor.storage.recorder import Recorder
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from monitor.system.clock import Clock

TICK_SECS: Final = 15.0
"""An alert of a lasting condition is late by this at most."""

LOOK_SECS: Final = 3.0
"""Between two looks at what other processes have written."""

REFRESH_SECS: Final = 60.0
"""Between two times that an Alertmanager is told what fires."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The parts that know the accounts, and which token is whose.

    `login_at` is the place of a login in one of Claude Code's configuration folders, "" being the default one.
    """

    stores: SecretStores
    accounts: AccountService
    watcher: LoginWatcher
    local_usage: LocalUsage
    login_at: Callable[[str], LoginSource]


@dataclass(frozen=True, slots=True)
class Persistence:
    """The parts that write the state database, and the samples of the past."""

    mute: Mute
    recorder: Recorder
    budget: RequestBudget
    history: History

    @staticmethod
    def over(recorder: Recorder, others: Others, *, is_brief: bool = False) -> "Persistence":
        """Make all of them over one database. One that `is_brief` sends no request that it cannot count."""
        database = recorder.database
        budget = RequestBudget(database, is_brief=is_brief)
        history = History(database, recorder.settings, others)
        return Persistence(Mute(database), recorder, budget, history)


class App:
    """All parts of a running program: they stay when the settings are reloaded."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        client: Client,
        credentials: Credentials,
        persistence: Persistence,
        poller: Poller,
    ) -> None:
        self.store = store
        self.clock = clock
        self.credentials = credentials
        self.persistence = persistence
        self.poller = poller
        self._client = client
        self._channels = ChannelSet()
        self._channels_replaced = asyncio.Event()

    async def load(self, settings: Settings, cached: Cached) -> None:
        """Load the accounts of the settings, with what an earlier process has saved of them and of its alerts."""
        now = self.clock.now()
        self.store.dispatch(events.PolicyChanged(now, self.store.state.policy))
        self.store.dispatch(events.ClockCorrected(now, cached.clock_offset))
        self.store.dispatch(events.Restored(now, cached.accounts, cached.conditions, cached.log))
        self._report_storage()
        self.credentials.accounts.load(settings)
        await self._count_requests()

    async def reload(self, settings: Settings, hosts: ApiHosts) -> None:
        """Go on with other settings; polls and commands under way are not disturbed."""
        now = self.clock.now()
        self._client.reload(hosts)
        self.credentials.stores.default = settings.storage
        self.store.dispatch(events.PolicyChanged(now, policy_of(settings)))
        self.credentials.accounts.load(settings)
        self.credentials.watcher.invalidate()
        await self._count_requests()

    def send_by(self, channels: ChannelSet) -> None:
        """Send alerts by these channels from now on, also those that still wait."""
        self._channels = channels
        self._channels_replaced.set()

    async def test_channels(self) -> list[SendResult]:
        """Send a test alert by every channel, and return the outcome of each."""
        now = self.clock.now()
        alert = Alert(AlertKind.TEST, "", "", now)
        self.store.dispatch(events.Tested(now, alert))
        return await send_to_each(self._channels, alert, self.store.dispatch, self.clock)

    async def run(self, main: Callable[[], Awaitable[None]], channels: ChannelSet) -> None:
        """Poll, follow logins, record alerts and send them until `main` returns."""
        self._channels = channels
        forecaster = Forecaster(self.store, self.clock, self.persistence.history)
        parts = {
            "poller": self.poller.run(),
            "login watcher": self.credentials.watcher.run(),
            "local usage": self._follow_local_usage(),
            "notifier": self._notify(),
            "forecaster": forecaster.run(),
            "heartbeat": self._tick(),
            "other processes": self._follow_others(),
            "storage": self._follow_storage(),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await main()
            for task in tasks:
                task.cancel()

    async def _follow_local_usage(self) -> None:
        """Follow Claude Code's own figures; where nobody is polled, the first look at them is the first round."""
        if not self.store.state.policy.polls:
            await self.poll_once()
            self.store.dispatch(events.LookedAround(self.clock.now()))
        await self.credentials.local_usage.run()

    async def _notify(self) -> None:
        """Send alerts by the newest channels; replaced ones have a second to finish what they are sending."""
        while True:
            self._channels_replaced.clear()
            channels = self._channels
            names = tuple(channel.name for channel in channels.channels)
            self.store.dispatch(events.ChannelsReplaced(self.clock.now(), names))
            journal = Journal(self.persistence.recorder)
            notifier = Notifier(channels, self.store, self.clock, journal, self._is_polling)
            async with asyncio.TaskGroup() as group:
                parts = (notifier.run(), self._refresh_firing(channels))
                tasks = [group.create_task(part, name="notifier") for part in parts]
                await self._channels_replaced.wait()
                for task in tasks:
                    task.cancel()

    def _is_polling(self) -> bool:
        """Return whether some account is being polled or due: its alerts belong to the same burst."""
        now, state = self.clock.now(), self.store.state
        polls = state.policy.polls  # without polls every account stays due
        return any(a.polling or (polls and a.next_poll_at <= now) for a in state.accounts.values())

    async def _refresh_firing(self, channels: ChannelSet) -> None:
        """Repeat the firing alerts to Alertmanagers, which take silence for their end."""
        managers = [c for c in channels.channels if isinstance(c, Alertmanager)]
        while managers:
            await self.clock.sleep(REFRESH_SECS)
            now, state = self.clock.now(), self.store.state
            rules = state.policy.alerts
            quiet = channels.quiet_until(now) is not None or state.muted_until is not None
            for manager in managers:
                firing = [
                    alert
                    for alert in firing_alerts(state, now)
                    if (only := rules.rule(alert.kind).channels) is None or manager.name in only
                ]
                try:
                    await manager.refresh(firing, now, quiet=quiet)
                except ChannelError as error:  # it is repeated in a minute
                    _log.warning("channel %s: %s", manager.name, error)

    async def _tick(self) -> None:
        """Dispatch the passing of time."""
        while True:
            await self.clock.sleep(TICK_SECS)
            self.store.dispatch(events.Ticked(self.clock.now()))

    async def _follow_others(self) -> None:
        """Follow the mute and the requests of the user's other processes, so that both are shown.

        Before a request of our own theirs are counted anyway.
        """
        while True:
            until = await self.persistence.mute.muted_until(self.clock.now())
            if until != self.store.state.muted_until:
                self.store.dispatch(events.Muted(self.clock.now(), until))
            await self.clock.sleep(LOOK_SECS)
            await self._count_requests()

    async def _count_requests(self) -> None:
        """Bring the requests of all processes into the state."""
        now = self.clock.now()
        for name, sent in (
            await self.persistence.budget.read_new(self.store.state.accounts, now)
        ).items():
            account = self.store.state.accounts.get(name)
            if account is None:
                continue
            news = set(sent.requests) - set(account.requests)
            if news or sent.backoff_until != account.backoff_until:
                counted = events.RequestsCounted(now, name, sent.requests, sent.backoff_until)
                self.store.dispatch(counted)

    async def _follow_storage(self) -> None:
        """Show that the state database cannot be written, and that it can be again."""
        while True:
            self._report_storage()
            await self.persistence.recorder.failure_changed()

    def _report_storage(self) -> None:
        failure = self.persistence.recorder.failure
        if failure != self.store.state.storage_failure:
            self.store.dispatch(events.StorageFailed(self.clock.now(), failure))

    async def poll_once(self) -> None:
        """Find out who is logged in, and poll the accounts that are due, one shortly after the other."""
        await self.credentials.watcher.look()
        await self.credentials.local_usage.look()
        now, policy = self.clock.now(), self.store.state.policy
        accounts = self.store.state.accounts.items() if policy.polls else ()
        # No more requests than a program that runs all the time would send.
        names = [name for name, account in accounts if is_in_turn(account, now, policy.interval)]

        async def poll(name: str, after_secs: float) -> None:
            await self.clock.sleep(after_secs)
            self.store.dispatch(events.PollStarted(self.clock.now(), name))
            await self.poller.poll(name)

        async with asyncio.TaskGroup() as polls:
            for place, name in enumerate(names):
                polls.create_task(poll(name, place * FIRST_STAGGER.total_seconds()))
