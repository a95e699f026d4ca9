"""Claude Desktop's own history is taken over on the first day, by organization, and never over samples of ours."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from monitor.app.past_samples import FILE, History, desktop_rows
from monitor.storage import samples
from monitor.storage.db import StateFile
from monitor.storage.recorder import Database
from tests.builders import NOW, before, usage, window
from tests.storage.factories import write

MINUTE = timedelta(minutes=1)


def sample(at: datetime, org: str = "org", **used: Any) -> dict[str, Any]:
    return {"t": int(at.timestamp() * 1000), "org": org, "u": used}


def keep(home: Path, *entries: Any, profile: str = "Claude") -> None:
    """Have Claude Desktop's profile keep these."""
    folder = home / ".config" / profile
    folder.mkdir(parents=True)
    (folder / FILE).write_text(json.dumps({"version": 2, "samples": list(entries)}))


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    path = tmp_path / "state" / "state.db"
    database = Database(StateFile(path))
    yield History(database, "", partial(desktop_rows, {"HOME": str(tmp_path)}))
    await database.close()


async def kept(history: History, account: str = "a") -> dict[str, list[float]]:
    found = await history.read(account, NOW - timedelta(days=400), NOW)
    return {key: [round(s.utilization, 4) for s in series] for key, series in found.items()}


async def test_a_month_is_taken_over_by_organization(history: History, tmp_path: Path) -> None:
    month = [sample(before(days=30) + n * 10 * MINUTE, fh=n % 100, sd=40) for n in range(30 * 144)]
    keep(tmp_path, *month, sample(before(days=1), "another", fh=99))
    assert await history.fill("a", "org", NOW) == 2 * len(month)
    assert len((await kept(history))["5h"]) == len(month)
    assert set((await kept(history))["7d"]) == {0.4}
    assert 0.99 not in (await kept(history))["5h"][-3:]


async def test_each_profile_of_claude_desktop_counts(history: History, tmp_path: Path) -> None:
    keep(tmp_path, sample(before(days=2), fh=1))
    keep(tmp_path, sample(before(days=1), fh=2), profile="Claude-Work")
    assert await history.fill("a", "org", NOW) == 2


async def test_an_account_with_an_older_history_of_its_own_keeps_that_alone(
    history: History, tmp_path: Path
) -> None:
    keep(tmp_path, sample(before(days=20), fh=50))
    own = usage(window("5h", 7), at=before(days=3))
    write(tmp_path / "state" / "state.db", lambda db: samples.insert(db, "", "a", own))
    assert await history.fill("a", "org", NOW) == 0
    assert (await kept(history)) == {"5h": [0.07]}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {"t": "soon", "org": "org", "u": {"fh": 1}},
        {"t": True, "org": "org", "u": {"fh": 1}},
        {"t": 1e300, "org": "org", "u": {"fh": 1}},
        {"t": 1, "org": "org", "u": {"fh": 1}},
        sample(NOW + timedelta(days=1), fh=1),
        sample(before(days=1)),
        sample(before(days=1), fh=None, sd="40", cw=3),
        sample(before(days=1), fh=-1, sd=1e9),
    ],
)
async def test_what_cannot_be_meant_is_left_out(
    history: History, tmp_path: Path, entry: object
) -> None:
    keep(tmp_path, entry, sample(before(days=1), fh=42))
    assert await history.fill("a", "org", NOW) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"samples": 3}', b"[" * 100_000, b"\xff\xfe"])
def test_a_file_that_is_no_history_brings_nothing(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path)
    (tmp_path / ".config" / "Claude" / FILE).write_bytes(content)
    assert list(desktop_rows({"HOME": str(tmp_path)}, "a", "org", NOW)) == []


async def test_without_claude_desktop_nothing_is_taken_over(history: History) -> None:
    assert await history.fill("a", "org", datetime.now(UTC)) == 0
