"""A home of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.factories import UserHome, rig


@pytest.fixture
async def user(tmp_path: Path) -> AsyncIterator[UserHome]:
    async with rig(tmp_path) as made:
        yield made
