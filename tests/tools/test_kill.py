from pathlib import Path

import pytest

from tools.kill.killing import MODES, judged


@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_any_instant_neither_loses_nor_doubles_an_alert(
    tmp_path: Path, mode: str
) -> None:
    judgement = judged(tmp_path, mode, kills=12, seed=7)
    assert judgement.alerts > 50
    assert judgement.kills_in_flight > 0
    assert (judgement.lost, judgement.double, judgement.never_due) == (0, 0, 0)
