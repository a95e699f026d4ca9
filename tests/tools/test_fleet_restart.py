from pathlib import Path

import pytest

from monitor.core.events import Ticked
from tests.builders import after
from tools.kill.restarts import END, Process, sample


async def test_that_all_are_full_is_not_told_again_after_a_restart(tmp_path: Path) -> None:
    process = Process(tmp_path, after())
    full = sample("a", 0, 100), sample("b", 0, 100)
    assert process.lives_through(*full) == ["exhausted"]
    await process.dies()
    again = Process(tmp_path, after(minutes=2))
    polls = sample("a", 3, 100), sample("b", 3, 100)
    assert again.lives_through(Ticked(after(minutes=2)), *polls) == []


@pytest.mark.parametrize("minute", [2, 170])
async def test_that_one_is_free_again_is_told_across_a_restart(tmp_path: Path, minute: int) -> None:
    process = Process(tmp_path, after())
    process.lives_through(sample("a", 0, 100), sample("b", 0, 100))
    await process.dies()
    again = Process(tmp_path, after(minutes=minute))
    again.lives_through(Ticked(after(minutes=minute)))
    told = again.lives_through(sample("a", 181, 3, after(hours=8)), sample("b", 181, 100, END))
    assert "a free" in told


async def test_that_one_is_free_again_is_not_told_again_after_a_restart(tmp_path: Path) -> None:
    process = Process(tmp_path, after())
    full = sample("a", 0, 100), sample("b", 0, 100)
    assert process.lives_through(*full, sample("a", 3, 99)) == ["exhausted", "a free"]
    await process.dies()
    again = Process(tmp_path, after(minutes=4))
    assert again.lives_through(sample("a", 6, 100), sample("a", 9, 99)) == []
