"""Alerts in the state database: each is written once in its period, and how far it has come on each channel."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitor.core.alerts.rules import Alert, AlertKind, Condition
from monitor.core.model import Account
from monitor.core.state import State
from monitor.storage import cache, deliveries
from monitor.storage.db import StateFile
from monitor.storage.deliveries import Journal, Stage, StoredAlert, key_of
from tests.builders import NOW, after, before
from tests.fakes import inline_recorder
from tools.kill.bench import alert, stored
from tools.kill.restarts import Process, loaded, sample, taken


class Log:
    """The deliveries of one process, and what it has released to be sent."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.recorder = inline_recorder(folder, settings)
        self.journal = Journal(self.recorder)

    def decide(self, *alerts: Alert) -> list[StoredAlert]:
        """The alerts that are really new."""
        self.recorder.record(State(), State(), alerts)
        return taken(self.recorder)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path)
    yield made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (alert("a"), alert("a", at=after(minutes=5), utilization=0.9), True),
        (alert("a"), alert("b"), False),
        (alert("a"), alert("a", threshold=0.95), False),
        (alert("a"), alert("a", AlertKind.RESET, threshold=None), False),
        (alert("a", period=""), alert("a", period="", at=after(seconds=5)), True),
        (alert("a", period=""), alert("a", period="", at=after(minutes=5)), False),
    ],
)
def test_what_makes_two_alerts_the_same(one: Alert, other: Alert, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same


def test_the_same_name_in_another_organization_is_another_alert() -> None:
    assert key_of(alert("a"), "org-1") != key_of(alert("a"), "org-2")


async def test_an_alert_is_released_once_in_its_period(log: Log) -> None:
    assert len(log.decide(alert("a"), alert("a"), alert("b"))) == 2
    assert log.decide(alert("a", at=after(minutes=3))) == []
    assert len(log.decide(alert("a", period="2"))) == 1


async def test_another_process_of_these_settings_does_not_send_what_is_written(
    log: Log, tmp_path: Path
) -> None:
    assert len(log.decide(alert("a"))) == 1
    assert Log(tmp_path).decide(alert("a")) == []
    assert len(Log(tmp_path, "another settings file").decide(alert("a"))) == 1


async def test_an_alert_goes_from_decided_to_sent(log: Log, tmp_path: Path) -> None:
    alerts = log.decide(alert("a"))
    assert [one.stage for one in await log.journal.unfinished()] == [Stage.DECIDED]
    assert await log.journal.begin(alerts, "*") == alerts
    assert [one.stage for one in await log.journal.unfinished()] == [Stage.SENDING]
    log.journal.finish(alerts, "*", Stage.SENT, "sent (desktop)", alerts, NOW)
    assert await log.journal.unfinished() == []
    (one,) = stored(tmp_path)
    assert (one.stage, one.attempts, one.outcome) == (Stage.SENT, 1, "sent (desktop)")
    assert one.alert == alert("a")


async def test_an_alert_that_failed_is_to_be_sent_again(log: Log, tmp_path: Path) -> None:
    alerts = log.decide(alert("a"))
    for _ in range(2):
        await log.journal.begin(alerts, "*")
        log.journal.put_back(alerts, "*", "timeout")
    (one,) = await log.journal.unfinished()
    assert (one.stage, one.attempts, one.outcome) == (Stage.DECIDED, 2, "timeout")
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        kept = deliveries.newest(database, "")
    assert [(one.is_sent, one.outcome) for one in kept] == [(False, "not sent (timeout)")]


async def test_channels_are_written_apart_and_one_that_sent_is_enough(
    log: Log, tmp_path: Path
) -> None:
    alerts = log.decide(alert("a"))
    for channel in ("desktop", "webhook"):
        await log.journal.begin(alerts, channel)
    log.journal.finish(alerts, "desktop", Stage.SENT, "sent", [], NOW)
    (one,) = await log.journal.unfinished()
    assert one.stage is Stage.SENT
    stages = {channel: progress.stage for channel, progress in one.channels.items()}
    assert stages == {"desktop": Stage.SENT, "webhook": Stage.SENDING}
    log.journal.finish(alerts, "webhook", Stage.DROPPED, "given up", alerts, NOW)
    assert await log.journal.unfinished() == []
    assert [one.stage for one in stored(tmp_path)] == [Stage.SENT]


async def test_what_another_process_has_sent_is_not_begun(log: Log, tmp_path: Path) -> None:
    alerts = log.decide(alert("a"), alert("b"))
    await log.journal.begin(alerts[:1], "*")
    log.journal.finish(alerts[:1], "*", Stage.SENT, "sent", alerts[:1], NOW)
    assert await Log(tmp_path).journal.begin(alerts, "*") == alerts[1:]


async def test_a_dropped_alert_says_why(log: Log, tmp_path: Path) -> None:
    log.journal.drop(log.decide(alert("a")), "there was no channel", NOW)
    (one,) = stored(tmp_path)
    assert (one.stage, one.outcome) == (Stage.DROPPED, "there was no channel")


async def test_what_is_long_past_is_dropped_with_its_deliveries(log: Log, tmp_path: Path) -> None:
    alerts = log.decide(alert("a"), alert("b", at=before(days=61)))
    await log.journal.begin(alerts, "*")
    with closing(StateFile(tmp_path / "state.db")) as file:
        file.write(lambda db: deliveries.prune(db, "", NOW))
        rows = file.read(lambda db: db.execute("SELECT key FROM deliveries").fetchall())
    assert [one.alert.account for one in stored(tmp_path)] == ["a"]
    assert len(rows) == 1


async def test_memory_comes_back_as_it_was(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    known = process.store.state
    fleet = {"exhausted:": Condition(NOW, told_at=NOW, ceased_at=NOW, freed_at=NOW)}
    process.recorder.record(known, State(accounts=known.accounts, conditions=fleet), ())
    cached = cache.read(tmp_path / "state.db", "")
    assert cached.accounts["a"].alerts == known.accounts["a"].alerts
    assert cached.accounts["a"].conditions == known.accounts["a"].conditions
    assert cached.conditions == fleet


async def test_memory_of_an_account_that_is_gone_is_kept_for_a_day(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("b", 0, 70), loaded(after(minutes=1), "b"))
    cached = cache.read(tmp_path / "state.db", "")
    assert cached.accounts.keys() == {"a", "b"}
    process.lives_through(loaded(after(days=2), "b"))
    cached = cache.read(tmp_path / "state.db", "")
    assert cached.accounts.keys() == {"b"}


async def test_a_restart_between_two_samples_repeats_nothing_and_loses_nothing(
    tmp_path: Path,
) -> None:
    percents = [70, 81, 82, 96, 96, 100, 100]
    told = []
    for place, percent in enumerate(percents):
        process = Process(tmp_path, after(minutes=3 * place))
        told.append(process.lives_through(sample("a", 3 * place, percent)))
        await process.dies()
    assert told == [[], ["a threshold_80"], [], ["a threshold_95"], [], ["a threshold_100"], []]


async def test_a_reset_is_told_across_a_restart(tmp_path: Path) -> None:
    Process(tmp_path, NOW).lives_through(sample("a", 0, 90))
    process = Process(tmp_path, after(minutes=181))
    assert process.lives_through(sample("a", 182, 1, after(hours=8))) == ["a reset"]


async def test_the_same_sample_again_tells_nothing_again(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    await process.dies()
    assert Process(tmp_path, after(minutes=3)).lives_through(sample("a", 3, 85)) == []


async def test_a_first_sample_is_a_baseline_where_nothing_is_remembered(tmp_path: Path) -> None:
    assert Process(tmp_path, NOW).lives_through(sample("a", 0, 99)) == []


async def test_memory_follows_an_account_to_its_new_name(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    process.lives_through(loaded(after(minutes=4), "z", "b", z="a"))
    await process.dies()
    again = Process(tmp_path, after(minutes=5), [Account("z", "org-z"), Account("b", "org-b")])
    assert again.lives_through(sample("z", 6, 86), sample("z", 9, 96)) == ["z threshold_95"]


async def test_memory_of_another_organization_is_not_taken(tmp_path: Path) -> None:
    Process(tmp_path, NOW).lives_through(sample("a", 0, 70))
    process = Process(tmp_path, after(minutes=2), [Account("a", "another")])
    assert process.lives_through(sample("a", 3, 85)) == []


async def test_a_clock_that_was_set_back_meanwhile_silences_nothing(tmp_path: Path) -> None:
    Process(tmp_path, after(minutes=60)).lives_through(sample("a", 60, 70))
    process = Process(tmp_path, NOW)
    assert process.lives_through(sample("a", 3, 85)) == ["a threshold_80"]
