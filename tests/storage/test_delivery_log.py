import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from monitor.core.alerts.memory import Condition
from monitor.core.alerts.memory_codec import Remembered, parse_conditions, render_conditions
from monitor.core.effects import Alert, AlertKind, Notify
from monitor.core.events import Ticked
from monitor.core.model import Account
from monitor.core.state import State
from monitor.core.update import update
from monitor.storage.delivery import key_of
from monitor.storage.ledger import DeliveryLog, LedgerView, Stage, StorageError, StoredAlert
from monitor.storage.sqlite import RETRY_EVENTS
from tests.builders import NOW, after, before, live, state, window
from tools.kill.bench import alert
from tools.kill.restarts import END, Process, loaded, sample


def ledger_in(folder: Path, at: datetime = NOW) -> DeliveryLog:
    return DeliveryLog(folder / "alerts.db", at, busy_secs=0)


def added(ledger: DeliveryLog, *alerts: Alert) -> list[StoredAlert]:
    """The alerts as new entries."""
    new = ledger.record(State(), State(), [Notify(one) for one in alerts])
    return [entry for entry in new if isinstance(entry, StoredAlert)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes, and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_file_is_private(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path / "state")
    added(ledger, alert("a"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_an_alert_is_written_once_in_its_period(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    assert len(added(ledger, alert("a"), alert("a"), alert("b"))) == 2
    assert added(ledger, alert("a", at=after(minutes=3))) == []
    assert len(added(ledger, alert("a", period="2"))) == 1


def test_another_process_does_not_tell_what_is_written(tmp_path: Path) -> None:
    first, second = ledger_in(tmp_path), ledger_in(tmp_path)
    assert len(added(first, alert("a"))) == 1
    assert added(second, alert("a")) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (alert("a"), alert("a", at=after(minutes=5), utilization=0.9), True),
        (alert("a"), alert("b"), False),
        (alert("a"), alert("a", threshold=0.95), False),
        (alert("a"), alert("a", AlertKind.RESET, threshold=None), False),
        (alert("a", period=""), alert("a", period="", at=after(seconds=5)), True),
        (alert("a", period=""), alert("a", period="", at=after(minutes=5)), False),
        (alert("a", period="+1"), alert("a", period="+1", at=after(minutes=5)), False),
    ],
)
def test_what_makes_two_alerts_the_same(one: Alert, other: Alert, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same


def test_the_same_name_in_another_organization_is_another_alert() -> None:
    assert key_of(alert("a"), "org-1") != key_of(alert("a"), "org-2")


def test_an_entry_goes_from_decided_to_told(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    entries = added(ledger, alert("a"))
    assert [entry.stage for entry in ledger.unfinished()] == [Stage.DECIDED]
    ledger.begin(entries, "*")
    assert [entry.stage for entry in ledger.unfinished()] == [Stage.TELLING]
    ledger.finish(entries, "*", Stage.TOLD, "told by desktop", entries, NOW)
    assert ledger.unfinished() == []
    (entry,) = ledger.since(NOW)
    assert (entry.stage, entry.attempts, entry.outcome) == (Stage.TOLD, 1, "told by desktop")
    assert entry.alert == alert("a")


def test_an_entry_that_failed_is_to_be_told_again(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    entries = added(ledger, alert("a"))
    for _ in range(2):
        ledger.begin(entries, "*")
        ledger.put_back(entries, "*", "timeout")
    (entry,) = ledger.unfinished()
    assert (entry.stage, entry.attempts, entry.outcome) == (Stage.DECIDED, 2, "timeout")


def test_lanes_are_noted_apart_and_one_that_told_is_enough(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    entries = added(ledger, alert("a"))
    for lane in ("desktop", "webhook"):
        ledger.begin(entries, lane)
    ledger.finish(entries, "desktop", Stage.TOLD, "told", [], NOW)
    (entry,) = ledger.unfinished()
    assert entry.stage is Stage.TOLD
    stages = {lane: telling.stage for lane, telling in entry.lanes.items()}
    assert stages == {"desktop": Stage.TOLD, "webhook": Stage.TELLING}
    ledger.finish(entries, "webhook", Stage.DROPPED, "given up", entries, NOW)
    assert ledger.unfinished() == []
    assert [entry.stage for entry in ledger.since(NOW)] == [Stage.TOLD]


def test_what_another_process_has_told_is_not_begun(tmp_path: Path) -> None:
    first, second = ledger_in(tmp_path), ledger_in(tmp_path)
    entries = added(first, alert("a"), alert("b"))
    first.begin(entries[:1], "*")
    first.finish(entries[:1], "*", Stage.TOLD, "told", entries[:1], NOW)
    assert second.begin(entries, "*") == entries[1:]


def test_a_dropped_entry_says_why(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.drop(added(ledger, alert("a")), "there was no channel", NOW)
    (entry,) = ledger.since(NOW)
    assert (entry.stage, entry.outcome) == (Stage.DROPPED, "there was no channel")


def test_another_process_may_read_and_leaves_everything_as_it_is(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    entries = added(ledger, alert("a"), alert("b", at=before(days=61)))
    ledger.begin(entries, "*")
    files = contents(tmp_path)
    with closing(LedgerView(tmp_path / "alerts.db")) as view:
        assert [entry.alert.account for entry in view.unfinished()] == ["a", "b"]
        assert [entry.alert.account for entry in view.since(before(hours=1))] == ["a"]
        assert view.recalled(NOW) == ledger.recalled(NOW)
        ledger.drop(entries, "given up", NOW)
        assert view.unfinished() == []
    assert contents(tmp_path).keys() == files.keys()
    assert len(ledger.since(before(days=99))) == 2


def test_who_reads_while_another_process_writes_is_not_held_up(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    added(ledger, alert("a"))
    with locked(tmp_path / "alerts.db"), closing(LedgerView(tmp_path / "alerts.db")) as view:
        assert len(view.unfinished()) == 1


@pytest.mark.parametrize("content", [None, b""])
def test_a_ledger_that_nobody_has_made_is_an_empty_one(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "alerts.db").write_bytes(content)
    files = contents(tmp_path)
    with closing(LedgerView(tmp_path / "alerts.db")) as view:
        assert (view.unfinished(), view.since(NOW)) == ([], [])
        assert view.recalled(NOW).accounts == {}
    assert contents(tmp_path) == files


def test_who_reads_a_damaged_ledger_leaves_it_where_it_is(tmp_path: Path) -> None:
    damaged_header(tmp_path / "alerts.db")
    files = contents(tmp_path)
    with pytest.raises(StorageError, match=r"alerts\.db cannot be read: file is not a database"):
        LedgerView(tmp_path / "alerts.db")
    assert contents(tmp_path) == files


def test_a_ledger_of_a_newer_version_is_not_read(tmp_path: Path) -> None:
    of_a_newer_version(tmp_path / "alerts.db")
    with pytest.raises(StorageError, match="newer version"):
        LedgerView(tmp_path / "alerts.db")


def test_what_is_long_past_is_forgotten(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    added(ledger, alert("a"), alert("b", at=before(days=61)))
    ledger.close()
    assert [entry.alert.account for entry in ledger_in(tmp_path).since(before(days=99))] == ["a"]


def test_a_rule_that_is_unknown_here_is_left_out(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    added(ledger, alert("a"), alert("b"))
    with closing(sqlite3.connect(tmp_path / "alerts.db")) as other, other:
        other.execute(
            "UPDATE alerts SET document = replace(document, 'threshold\"', 'x\"') WHERE id = 1"
        )
    assert [entry.alert.account for entry in ledger.unfinished()] == ["b"]


def test_memory_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    known = process.store.state.accounts["a"]
    fleet = {"exhausted:": Condition(NOW, told_at=NOW, ceased_at=NOW, freed_at=NOW)}
    remembered = State(accounts={"a": known}, conditions=fleet)
    ledger.record(process.store.state, remembered, ())
    recalled = ledger_in(tmp_path).recalled(NOW)
    assert recalled.accounts["a"] == Remembered(known.alerts, known.conditions, "org-a")
    assert recalled.conditions == fleet


def test_what_an_earlier_version_remembered_of_a_condition_is_enough() -> None:
    told = {"exhausted:": Condition(NOW, told_at=NOW)}
    document = {key: dict(value) for key, value in render_conditions(told).items()}
    del document["exhausted:"]["freed_at"]
    assert parse_conditions(document) == told


def test_only_what_has_changed_is_written(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("b", 0, 70))
    with locked(tmp_path / "alerts.db"):
        process.lives_through(Ticked(after(seconds=1)))
        assert process.store.state.ledger_failure is None
        process.lives_through(sample("a", 3, 71))
        assert process.store.state.ledger_failure is not None


def test_memory_of_an_account_that_is_gone_is_dropped(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("b", 0, 70), loaded(after(minutes=1), "b"))
    assert ledger_in(tmp_path).recalled(NOW).accounts.keys() == {"b"}


def test_memory_that_cannot_be_read_is_forgotten(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("b", 0, 70))
    with closing(sqlite3.connect(tmp_path / "alerts.db")) as other, other:
        other.execute("UPDATE memory SET document = '{}' WHERE account = 'a'")
    assert ledger_in(tmp_path).recalled(NOW).accounts.keys() == {"b"}


def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70))
    with locked(tmp_path / "alerts.db"):
        assert process.lives_through(sample("a", 3, 85)) == []
        assert "database is locked" in (process.store.state.ledger_failure or "")
    process.lives_through(Ticked(after(minutes=4)), sample("a", 6, 86))
    assert process.store.state.ledger_failure is None
    process.dies()
    assert Process(tmp_path, after(minutes=7)).lives_through(sample("a", 9, 87)) == []


def test_what_became_of_an_alert_is_noted_later_where_it_cannot_be_now(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    entries = added(ledger, alert("a"))
    with locked(tmp_path / "alerts.db"):
        with pytest.raises(StorageError, match="locked"):
            ledger.begin(entries, "*")
        with pytest.raises(StorageError, match="locked"):
            ledger.finish(entries, "*", Stage.TOLD, "told", entries, NOW)
        with pytest.raises(StorageError, match="locked"):
            ledger.record(State(), State(), ())
    for _ in range(RETRY_EVENTS - 1):
        with pytest.raises(StorageError, match="locked"):
            ledger.record(State(), State(), ())
    ledger.record(State(), State(), ())
    assert ledger.unfinished() == []


def test_a_ledger_that_cannot_be_written_cannot_be_opened(tmp_path: Path) -> None:
    ledger_in(tmp_path).close()
    with (
        locked(tmp_path / "alerts.db"),
        pytest.raises(StorageError, match=r"alerts\.db cannot be used"),
    ):
        ledger_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match=r"the alert ledger .* cannot be used: ") as caught:
        ledger_in(tmp_path / "state")
    assert "\n" not in str(caught.value)


def damaged_header(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def damaged_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


@pytest.mark.parametrize("damage", [damaged_header, damaged_pages])
def test_a_damaged_ledger_is_kept_aside_and_begun_anew(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = ledger_in(tmp_path)
    added(ledger, alert("a"))
    ledger.close()
    damage(tmp_path / "alerts.db")
    content = (tmp_path / "alerts.db").read_bytes()
    anew = ledger_in(tmp_path, after(seconds=1))
    assert anew.unfinished() == []
    assert len(added(anew, alert("a"))) == 1
    assert (tmp_path / "alerts.db.corrupt-20261122T120001Z").read_bytes() == content
    assert "was damaged" in caplog.text


def of_a_newer_version(path: Path) -> None:
    DeliveryLog(path, NOW).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    of_a_newer_version(tmp_path / "alerts.db")
    with pytest.raises(StorageError, match="newer version"):
        ledger_in(tmp_path)


def test_a_restart_between_two_samples_repeats_nothing_and_loses_nothing(tmp_path: Path) -> None:
    percents = [70, 81, 82, 96, 96, 100, 100]
    told = []
    for place, percent in enumerate(percents):
        process = Process(tmp_path, after(minutes=3 * place))
        told.append(process.lives_through(sample("a", 3 * place, percent)))
        process.dies()
    assert told == [[], ["a threshold_80"], [], ["a threshold_95"], [], ["a threshold_100"], []]


def test_a_reset_is_told_across_a_restart(tmp_path: Path) -> None:
    Process(tmp_path, NOW).lives_through(sample("a", 0, 90))
    process = Process(tmp_path, after(minutes=181))
    assert process.lives_through(sample("a", 182, 1, after(hours=8))) == ["a reset"]


def test_the_same_sample_again_tells_nothing_again(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    process.dies()
    assert Process(tmp_path, after(minutes=3)).lives_through(sample("a", 3, 85)) == []


def test_a_first_sample_is_a_baseline_where_nothing_is_remembered(tmp_path: Path) -> None:
    assert Process(tmp_path, NOW).lives_through(sample("a", 0, 99)) == []


def test_memory_follows_an_account_to_its_new_name(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    process.lives_through(loaded(after(minutes=4), "z", "b", z="a"))
    process.dies()
    again = Process(tmp_path, after(minutes=5), [Account("z", "org-z"), Account("b", "org-b")])
    assert again.lives_through(sample("z", 6, 86), sample("z", 9, 96)) == ["z threshold_95"]


def test_memory_of_another_organization_is_not_taken(tmp_path: Path) -> None:
    Process(tmp_path, NOW).lives_through(sample("a", 0, 70))
    process = Process(tmp_path, after(minutes=2), [Account("a", "another")])
    assert process.lives_through(sample("a", 3, 85)) == []


def test_a_clock_that_was_set_back_meanwhile_silences_nothing(tmp_path: Path) -> None:
    Process(tmp_path, after(minutes=60)).lives_through(sample("a", 60, 70))
    process = Process(tmp_path, NOW)
    assert process.lives_through(sample("a", 3, 85)) == ["a threshold_80"]


def test_recalled_memory_goes_behind_what_was_seen_meanwhile(tmp_path: Path) -> None:
    process = Process(tmp_path, NOW)
    process.lives_through(sample("a", 0, 70), sample("a", 3, 85))
    recalled = ledger_in(tmp_path).recalled(after(minutes=9))
    process.lives_through(sample("a", 6, 96))
    process.store.dispatch(recalled)
    assert process.store.state.accounts["a"].alerts["5h"].utilization == 0.96


def test_an_account_that_is_there_already_is_given_its_memory(tmp_path: Path) -> None:
    Process(tmp_path, NOW).lives_through(sample("a", 0, 70))
    recalled = ledger_in(tmp_path).recalled(NOW)
    after_it, _ = update(state(live("a", window("5h", 10))), recalled)
    assert after_it.accounts["a"].alerts["5h"].resets_at == END
