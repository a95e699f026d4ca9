"""`monitor mute`, and the row by which every process of the user learns of it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.cli import main
from monitor.storage import cache
from monitor.storage.cache import Mute, current_mute, mute_words
from monitor.storage.db import StorageError, read_only
from tests.builders import NOW, after, before
from tests.fakes import inline_database

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "claude-tracker"


def test_a_mute_is_seen_by_another_process_and_outlives_this_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = datetime.now(UTC)
    assert main(["mute", "30m"]) == 0
    until = read_only(folder / "state.db", cache.muted_until, None)
    assert until is not None
    assert timedelta(minutes=30) <= until - began < timedelta(minutes=31)
    assert re.fullmatch(r"alerts are muted until .*\d\d:\d\d\n", capsys.readouterr().out)
    assert (folder / "state.db").stat().st_mode & 0o777 == 0o600


def test_a_mute_is_ended_and_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["mute", *words]) for words in (["2h"], [], ["off"], [])] == [0, 0, 0, 0]
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert first == second
    assert third == fourth == "alerts are not muted"
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("soon", "not a duration"),
        ("0m", "the duration is zero: `monitor mute off`"),
        ("400d", "too long"),
    ],
)
def test_what_is_no_duration_mutes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, complaint: str
) -> None:
    assert main(["mute", word]) == 2
    assert complaint in capsys.readouterr().err
    assert not folder.exists()


def test_a_state_folder_that_cannot_be_written_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.touch()
    assert main(["mute", "1h"]) == 1
    assert re.fullmatch(r"monitor: .*state\.db cannot be written: .*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("now", "until", "words"),
    [
        (NOW, None, "alerts are not muted"),
        (NOW, after(minutes=5), "alerts are muted until 13:05"),
        (NOW, after(hours=11), "alerts are muted until Mon 00:00"),
    ],
)
def test_the_words_for_it(now: datetime, until: datetime | None, words: str) -> None:
    assert mute_words(until, now, BERLIN) == words


@pytest.mark.parametrize(
    ("until", "holds"),
    [(None, None), (before(minutes=1), None), (NOW, None), (after(minutes=1), after(minutes=1))],
)
async def test_a_mute_is_over_once_its_instant_has_come(
    tmp_path: Path, until: datetime | None, holds: datetime | None
) -> None:
    await mute_in(tmp_path).set(until)
    assert await mute_in(tmp_path).muted_until(NOW) == holds == current_mute(until, NOW)


def mute_in(folder: Path) -> Mute:
    return Mute(inline_database(folder))


async def test_the_key_mutes_for_an_hour_and_then_ends_the_mute(tmp_path: Path) -> None:
    mute = mute_in(tmp_path)
    assert await mute.toggle(NOW) == after(hours=1)
    assert await mute.toggle(after(minutes=59)) is None
    assert await mute.muted_until(after(minutes=59)) is None
    assert await mute.toggle(after(hours=2)) == after(hours=3)


async def test_the_key_mutes_anew_once_a_mute_has_run_out(tmp_path: Path) -> None:
    mute = mute_in(tmp_path)
    await mute.set(before(hours=1))
    assert await mute.toggle(NOW) == after(hours=1)


async def test_a_mute_that_cannot_be_kept_is_an_error_to_the_key(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        await mute_in(tmp_path / "state").toggle(NOW)


async def test_a_mute_that_cannot_be_read_now_holds_on(tmp_path: Path) -> None:
    mute = mute_in(tmp_path / "state")
    await mute.set(after(hours=1))
    (tmp_path / "state").rename(tmp_path / "gone")
    (tmp_path / "state").touch()
    assert await mute.muted_until(NOW) == after(hours=1)
