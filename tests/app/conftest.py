"""A home of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.factories import Rig, rig


@pytest.fixture
async def user(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made
