"""What a frame takes over of the last one: it never shows anything else than a frame that is made anew."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.terminal.frame import frame
from monitor.terminal.screen import Pane, Screen
from monitor.terminal.table import RenderCache
from monitor.terminal.text import Size
from tests.builders import NOW
from tests.terminal.factories import STATES


@pytest.mark.parametrize("seed", range(8))
def test_frames_over_hours_of_changes_are_those_of_nothing_kept(seed: int) -> None:
    chance, now, cache = random.Random(seed), NOW, RenderCache()
    state, screen, size = STATES["twenty"](NOW), Screen(pane=Pane.DETAIL), Size(120, 40)
    for _ in range(150):
        now += timedelta(seconds=chance.choice((0.3, 1, 1, 1, 7, 59, 60, 1800)))
        names = list(state.accounts)
        match chance.randrange(12):
            case 0:
                other = STATES[chance.choice(("twenty", "mixed"))](now)
                state = replace(state, accounts=other.accounts, active=other.active)
            case 1:
                state = replace(state, logged_in=chance.choice(names))
            case 2:
                state = replace(state, active=chance.randrange(len(names)))
            case 3:
                screen = replace(screen, selected=chance.choice(names))
            case 4:
                size = Size(chance.choice((20, 60, 80, 120, 140, 200)), chance.choice((8, 24, 50)))
            case 5:
                name = chance.choice(names)
                account = state.accounts[name]
                others = list(STATES["mixed"](now).accounts.values())
                changed = replace(account, down=chance.choice(others).down)
                state = replace(state, accounts={**state.accounts, name: changed})
        drawn = frame(state, screen, now, size, cache=cache)
        anew = frame(state, screen, now, size)
        assert drawn.text == anew.text, (seed, now)
        assert drawn == anew, (seed, now)
