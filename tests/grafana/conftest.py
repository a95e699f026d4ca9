"""One real Prometheus that holds fourteen invented days, shared by all tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.need import need
from tools.pictures.store import run_prometheus

GRAFANA = Path(__file__).parents[2] / "grafana"


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus with 14 days of five accounts, one of which has lost its login."""
    need("prometheus", "promtool")
    with run_prometheus(tmp_path_factory.mktemp("days"), 5) as url:
        yield url
