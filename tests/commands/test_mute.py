"""`monitor mute`, and the file by which every process of the user learns of it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.cli import main
from monitor.commands.mute import mute_file
from monitor.core.errors import TrackerError
from monitor.demo.memory import MemoryDocument
from monitor.storage.mute import MuteFile, mute_words
from monitor.system.files import JsonFile
from tests.builders import NOW, after, before

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
    until = mute_file({"XDG_STATE_HOME": str(folder.parent)}).until()
    assert until is not None
    assert timedelta(minutes=30) <= until - began < timedelta(minutes=31)
    assert re.fullmatch(r"alerts are muted until .*\d\d:\d\d\n", capsys.readouterr().out)
    assert (folder / "mute.json").stat().st_mode & 0o777 == 0o600


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
    assert re.fullmatch(r"monitor: .*mute\.json: cannot be written: .*\n", capsys.readouterr().err)


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
def test_a_mute_is_over_once_its_instant_has_come(
    tmp_path: Path, until: datetime | None, holds: datetime | None
) -> None:
    MuteFile(JsonFile(tmp_path / "mute.json")).set(until)
    file = MuteFile(JsonFile(tmp_path / "mute.json"))
    assert (file.until(), file.muted_until(NOW)) == (until, holds)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"until": 5}',
        '{"until": "soon"}',
        '{"until": "2099-01-01T00:00:00"}',
        '{"until": "9999-99-99"}',
        "\x00",
    ],
)
def test_a_file_that_makes_no_sense_mutes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "mute.json").write_text(content)
    assert MuteFile(JsonFile(tmp_path / "mute.json")).muted_until(NOW) is None


def test_the_key_mutes_for_an_hour_and_then_ends_the_mute() -> None:
    file = MuteFile(MemoryDocument())
    assert file.toggle(NOW) == after(hours=1)
    assert file.toggle(after(minutes=59)) is None
    assert file.muted_until(after(minutes=59)) is None
    assert file.toggle(after(hours=2)) == after(hours=3)


def test_the_key_mutes_anew_once_a_mute_has_run_out() -> None:
    file = MuteFile(MemoryDocument())
    file.set(before(hours=1))
    assert file.toggle(NOW) == after(hours=1)


def test_a_mute_that_cannot_be_kept_is_an_error_to_the_key(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(TrackerError, match="cannot be written"):
        MuteFile(JsonFile(tmp_path / "state" / "mute.json")).toggle(NOW)
