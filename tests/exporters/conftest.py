"""One real Prometheus that scrapes the real site, shared by all tests here: its first sample takes it some 6 s."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitor.core.model import Window
from tests.builders import live
from tests.exporters.factories import rich_state
from tests.exporters.fakes import served
from tests.real.prometheus import Prometheus, prometheus


@pytest.fixture(scope="session")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen the rich state often enough for rates."""
    start = datetime.now(UTC)
    unspeakable = live("nul\0 cr\r ls\u2028 half\ud83d", Window("5h", 0.5), at=start)
    rich = rich_state(start)
    state = replace(rich, accounts={**rich.accounts, "unspeakable": unspeakable})
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        served(lambda: state, lambda: datetime.now(UTC)) as site,
        prometheus(folder, f"127.0.0.1:{site.port}") as server,
    ):
        server.wait_for("count_over_time(claude_usage_up[1m]) >= 3")
        yield server
