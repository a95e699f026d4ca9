"""What Claude Code gives to its status line, and what hostile or broken documents do."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import TrackerError
from monitor.core.limits import parse_rate_limits
from monitor.core.model import Usage, Window
from tests.builders import NOW, after, before

SOON = after(hours=2)
NEXT_WEEK = after(days=6)

NO_PERCENTAGE: list[object] = [
    math.nan,
    math.inf,
    -1,
    -0.001,
    1e308,
    1795888800,
    True,
    "much",
    [],
    10**400,
]
NO_INSTANT: list[object] = [math.nan, -math.inf, -1, 1e308, 1e12, True, "soon", {}, 10**400]


def limits(**rows: Any) -> dict[str, Any]:
    return {"session_id": "x", "model": {"id": "m"}, "rate_limits": rows}


def row(used: object, resets_at: object = SOON.timestamp()) -> dict[str, object]:
    return {"used_percentage": used, "resets_at": resets_at}


def parsed(document: dict[str, Any]) -> Usage | None:
    return parse_rate_limits(document, NOW)


def test_both_windows() -> None:
    document = limits(five_hour=row(42.5), seven_day=row(14.000000000000002, 1795888800))
    usage = parsed(json.loads(json.dumps(document)))
    assert usage is not None
    assert usage.at == NOW
    assert [w.key for w in usage.windows] == ["5h", "7d"]
    assert usage.windows[0] == Window("5h", 0.425, SOON)
    assert math.isclose(usage.windows[1].utilization, 0.14)


@pytest.mark.parametrize(
    ("document", "windows"),
    [
        ({}, None),
        ({"rate_limits": None}, None),
        (limits(), None),
        (limits(five_hour=None, seven_day=None), None),
        (limits(five_hour={}), None),
        (limits(five_hour=row(None)), None),
        (limits(five_hour=row(1)), (Window("5h", 0.01, SOON),)),
        (limits(five_hour=row(0)), (Window("5h", 0.0, SOON),)),
        (limits(five_hour=row(105)), (Window("5h", 1.05, SOON),)),
        (limits(five_hour=row(7, None)), (Window("5h", 0.07),)),
        (
            limits(seven_day=row(7, NEXT_WEEK.timestamp() + 0.4)),
            (Window("7d", 0.07, NEXT_WEEK),),
        ),
        (limits(five_hour=row(80, before(seconds=1).timestamp())), None),
        (limits(five_hour=row(80, 0)), (Window("5h", 0.8),)),
        (
            limits(spend_limit={"used_percentage": 90, "used_usd": 12.5}),
            (Window("extra", 0.9),),
        ),
        (limits(seven_day_opus=row(80)), (Window("7d_opus", 0.8, SOON),)),
        (limits(five_hour=row("42", SOON.isoformat())), (Window("5h", 0.42, SOON),)),
        (limits(five_hour=row(42), seven_day=row(math.nan)), (Window("5h", 0.42, SOON),)),
        (limits(five_hour=row(1795888800), seven_day=row(8)), (Window("7d", 0.08, SOON),)),
        (limits(five_hour=row(42, after(hours=13.6).timestamp())), (Window("5h", 0.42),)),
        (limits(seven_day=row(42, after(days=15).timestamp())), (Window("7d", 0.42),)),
        *((limits(five_hour=row(42, at)), (Window("5h", 0.42),)) for at in NO_INSTANT),
    ],
)
def test_each_part_may_be_missing(
    document: dict[str, Any], windows: tuple[Window, ...] | None
) -> None:
    usage = parsed(document)
    assert (usage and usage.windows) == windows


@pytest.mark.parametrize(
    "document",
    [
        {"rate_limits": [1]},
        {"rate_limits": "five_hour"},
        limits(five_hour=3),
        limits(five_hour=[row(1)]),
        *(limits(five_hour=row(used)) for used in NO_PERCENTAGE),
    ],
)
def test_what_holds_no_figure_that_can_be_true_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(TrackerError, match="not understood: nothing was taken"):
        parsed(document)


def test_what_is_left_out_of_a_document_is_named() -> None:
    usage = parsed(limits(five_hour=row(42, after(hours=13.6).timestamp()), seven_day=row("much")))
    assert usage is not None
    assert usage.left_out == (
        "7d: used_percentage is no number",
        "5h: resets_at is too far ahead",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ROW = JSON | st.fixed_dictionaries({}, optional={"used_percentage": JSON, "resets_at": JSON})


@given(st.fixed_dictionaries({}, optional={"five_hour": ROW, "seven_day": ROW}) | JSON)
def test_any_document_gives_sound_usage_or_a_sentence(rate_limits: object) -> None:
    try:
        usage = parsed({"rate_limits": rate_limits})
    except TrackerError as error:
        assert "\n" not in str(error)
        return
    for window in usage.windows if usage else ():
        assert 0 <= window.utilization <= 100
        assert window.resets_at is None or timedelta(0) < window.resets_at - NOW
