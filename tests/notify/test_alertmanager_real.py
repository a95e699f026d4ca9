"""The Alertmanager channel against a real Alertmanager with a webhook receiver."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.notify.channels.alertmanager import LEASE, Alertmanager
from tests.notify.receiver import delivery
from tests.notify.test_alertmanager import usual_urgency
from tests.real import alertmanager as real
from tests.real.bus import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[real.Alertmanager]:
    with real.alertmanager(tmp_path, group_wait=timedelta(milliseconds=500)) as running:
        yield running


def now() -> datetime:
    return datetime.now(UTC)


def channel(server: real.Alertmanager, clock: Callable[[], datetime] = now) -> Alertmanager:
    return Alertmanager(server.url, clock, usual_urgency)


def login(account: str) -> Alert:
    return Alert(AlertKind.LOGIN, account, "", now(), detail="refused")


def crossed(account: str, threshold: float = 0.8) -> Alert:
    return Alert(
        AlertKind.THRESHOLD,
        account,
        "5h",
        now(),
        utilization=0.96,
        threshold=threshold,
        resets_at=now() + timedelta(hours=2),
    )


async def told(server: real.Alertmanager, status: str, *rules: str) -> None:
    """Wait until the webhook was told of these rules, each once and nothing else, to have this status."""

    def is_told() -> bool:
        return sorted(labels["rule"] for labels in server.told(status)) == sorted(rules)

    await asyncio.to_thread(wait_until, is_told, f"{rules} {status}: {server.notifications}")


async def test_alerts_of_one_account_are_one_notification(server: real.Alertmanager) -> None:
    await channel(server).send(*delivery(crossed("work"), login("work"), login("home")))
    await told(server, "firing", "threshold_80", "login", "login")
    groups = {n["groupLabels"]["account"]: n["alerts"] for n in server.notifications}
    assert {account: len(alerts) for account, alerts in groups.items()} == {"work": 2, "home": 1}
    (home,) = groups["home"]
    assert home["labels"] == {
        "alertname": "ClaudeUsageLogin",
        "account": "home",
        "rule": "login",
        "severity": "warning",
    }
    assert home["annotations"]["summary"] == "home: login needed"


async def test_what_is_sent_again_while_firing_is_told_once(server: real.Alertmanager) -> None:
    manager, alert = channel(server), login("work")
    await manager.send(*delivery(alert))
    await told(server, "firing", "login")
    for _ in range(3):
        await manager.refresh([alert], now())
    await manager.send(*delivery(crossed("work")))
    await told(server, "firing", "login", "login", "threshold_80")  # the group is told as a whole
    assert [len(n["alerts"]) for n in server.notifications] == [1, 2]


async def test_what_has_ceased_is_resolved_by_the_next_refresh(server: real.Alertmanager) -> None:
    manager, alert = channel(server), crossed("work")
    await manager.send(*delivery(alert))
    await told(server, "firing", "threshold_80")
    for _ in range(3):
        await manager.refresh([], now())
    await told(server, "resolved", "threshold_80")
    assert server.alerts() == []


async def test_what_is_not_heard_of_again_is_resolved_by_its_end(server: real.Alertmanager) -> None:
    """The channel's clock is behind, so that its lease is over in two seconds."""
    late = channel(server, lambda: now() - LEASE + timedelta(seconds=2))
    await late.send(*delivery(login("work")))
    await told(server, "firing", "login")
    await told(server, "resolved", "login")


async def test_a_reset_is_told_and_ends_by_itself(server: real.Alertmanager) -> None:
    ended = Alert(AlertKind.RESET, "work", "5h", now(), utilization=0.97, resets_at=now())
    manager = channel(server)
    await manager.send(*delivery(ended))
    await manager.refresh([], now())
    await told(server, "firing", "reset")
    (alert,) = server.alerts()
    left = datetime.fromisoformat(alert["endsAt"]) - now()
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


async def test_what_is_silenced_there_is_held_and_not_told(server: real.Alertmanager) -> None:
    server.silence(account="work")
    await channel(server).send(*delivery(login("work"), login("home")))
    await told(server, "firing", "login")
    assert [labels["account"] for labels in server.told("firing")] == ["home"]
    states = {one["labels"]["account"]: one["status"]["state"] for one in server.alerts()}
    assert states == {"work": "suppressed", "home": "active"}


@pytest.mark.parametrize("account", ['R&D "Zoë" \\ {x="y"}', "李雷 👩💻"])
async def test_any_name_is_a_label_as_it_is(server: real.Alertmanager, account: str) -> None:
    await channel(server).send(*delivery(replace(crossed(account), threshold=1.0)))
    await told(server, "firing", "threshold_100")
    (labels,) = server.told("firing")
    assert (labels["account"], labels["severity"]) == (account, "critical")
