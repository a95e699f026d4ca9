"""Fixtures that every test may use."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# A loaded machine is no failure, and CI looks at the same examples each time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# What the model's type hints leave unsaid: its instants are aware, its numbers finite.
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))

# Clock times are shown as the machine has them.
os.environ["TZ"] = "UTC"
time.tzset()

GOLDEN = Path(__file__).parent / "golden"

WHOLE = ("end_to_end", "scenarios", "grafana")
"""Folders of tests that start whole programs and services, or take minutes: `make check` runs them, `make test` not."""

LONGEST_FIRST = (
    "test_whole.py", "test_odd_answers.py", "test_crowd.py", "test_wrong_clock.py", "test_flood.py", *WHOLE,
    "test_faults.py", "commands", "test_cli.py", "exporters", "test_fast_path.py", "completion", "system", "app",
    "tools",
)  # fmt: skip
"""Files and folders in this order, then all others: what waits for minutes, begun last, would keep one worker alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def folder(item: pytest.Item) -> str:
        return item.path.relative_to(GOLDEN.parent).parts[0]

    for item in items:
        if folder(item) in WHOLE:
            item.add_marker(pytest.mark.whole)
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    last = len(places)
    items.sort(key=lambda item: min(places.get(n, last) for n in (item.path.name, folder(item))))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite the golden files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text is that of `tests/golden/<name>`; `--golden` rewrites the file."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
