"""The machine that is examined."""

from pathlib import Path

import pytest

from tests.doctor.factories import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
