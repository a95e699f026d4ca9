"""Small tasks that keep a running program in step: its heartbeat, the mute, other processes, and what fires."""

import logging
from datetime import datetime
from typing import Final

from monitor.core.alerts.firing import firing_alerts
from monitor.core.errors import ChannelError
from monitor.core.events import Muted, RequestsCounted, StorageFailed, Ticked
from monitor.notify.channel import ChannelSet
from monitor.notify.channels.alertmanager import Alertmanager
from monitor.storage.cache import Mute
from monitor.storage.recorder import Recorder
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from monitor.system.clock import Clock

TICK_SECS: Final = 15.0
"""The most that an alert of a lasting condition is late."""

LOOK_SECS: Final = 3.0
COUNT_SECS: Final = 5.0
REFRESH_SECS: Final = 60.0


_log = logging.getLogger(__name__)


async def tick(store: Store, clock: Clock) -> None:
    """Let the state know that time passes."""
    while True:
        await clock.sleep(TICK_SECS)
        store.dispatch(Ticked(clock.now()))


async def follow_mute(mute: Mute, store: Store, clock: Clock) -> None:
    """Follow what `monitor mute`, or the key of any running table, has set."""
    while True:
        until = await mute.muted_until(clock.now())
        if until != store.state.muted_until:
            store.dispatch(Muted(clock.now(), until))
        await clock.sleep(LOOK_SECS)


async def follow_requests(budget: RequestBudget, store: Store, clock: Clock) -> None:
    """Show what other processes send for our accounts; before a request of our own it counts anyway."""
    while True:
        await clock.sleep(COUNT_SECS)
        await count_requests(budget, store, clock.now())


async def count_requests(budget: RequestBudget, store: Store, now: datetime) -> None:
    """Bring what is known of all processes' requests into the state."""
    for name, sent in (await budget.sent(store.state.accounts, now)).items():
        account = store.state.accounts.get(name)
        if account is None:
            continue
        news = set(sent.requests) - set(account.requests)
        if news or sent.backoff_until != account.backoff_until:
            store.dispatch(RequestsCounted(now, name, sent.requests, sent.backoff_until))


async def follow_storage(recorder: Recorder, store: Store, clock: Clock) -> None:
    """Show that the state database cannot be written, and that it can be again."""
    while True:
        report_storage(recorder, store, clock.now())
        await recorder.failure_changed()


def report_storage(recorder: Recorder, store: Store, now: datetime) -> None:
    """Bring what keeps the state database from being written into the state."""
    if recorder.failure != store.state.storage_failure:
        store.dispatch(StorageFailed(now, recorder.failure))


async def refresh_firing(channels: ChannelSet, store: Store, clock: Clock) -> None:
    """Repeat what fires to those who take silence for its end."""
    managers = [c for c in channels.channels if isinstance(c, Alertmanager)]
    while managers:
        await clock.sleep(REFRESH_SECS)
        now, state = clock.now(), store.state
        quiet = channels.quiet_until(now) is not None or state.muted_until is not None
        for manager in managers:
            rules = state.policy.alerts
            firing = [
                alert
                for alert in firing_alerts(state, now)
                if (only := rules.rule(alert.kind).channels) is None or manager.name in only
            ]
            try:
                await manager.refresh(firing, now, quiet=quiet)
            except ChannelError as error:  # it is repeated in a minute
                _log.warning("channel %s: %s", manager.name, error)


def is_polling(store: Store, clock: Clock) -> bool:
    """True while some account is being polled, or is about to be: its alerts belong to the same burst."""
    now = clock.now()
    return any(a.polling or a.next_poll_at <= now for a in store.state.accounts.values())
