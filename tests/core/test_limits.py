"""Shapes of limits that accounts really get, with invented values; and what comes out of each."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.limits import SAME_FIGURE, ParsedLimits, is_window_key, parse_limits

RESET = "2026-07-08T09:00:00.283070+00:00"


def flat(percent: object, resets_at: object = RESET, **more: object) -> dict[str, object]:
    return {"utilization": percent, "resets_at": resets_at, **more}


def row(percent: object, scope: object = None, **more: object) -> dict[str, object]:
    named = {"kind": "weekly_scoped", "group": "weekly", "resets_at": RESET}
    return {**named, "percent": percent, "scope": scope, **more}


def model(name: object = None, id: object = None, **more: object) -> dict[str, object]:
    return {"model": {"id": id, "display_name": name}, "surface": None, **more}


def session(percent: object, **more: object) -> dict[str, object]:
    return row(percent, kind="session", group="session", **more)


def week(percent: object, **more: object) -> dict[str, object]:
    return row(percent, kind="weekly_all", **more)


def read(answer: Mapping[str, Any]) -> ParsedLimits:
    return parse_limits(answer, "utilization")


def figures(limits: ParsedLimits) -> dict[str, float]:
    """By key, in percent."""
    return {window.key: round(window.utilization * 100, 6) for window in limits.windows}


NO_TIME = [
    "soon",
    "",
    True,
    [],
    1e300,
    10**400,
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    253402300000,
    -6e10,
]


@pytest.mark.parametrize("resets_at", NO_TIME, ids=str)
def test_a_bad_time_costs_the_reset_alone(resets_at: object) -> None:
    limits = read({"five_hour": flat(97, resets_at), "limits": [row(5, model("Opus"))]})
    assert figures(limits) == {"5h": 97, "7d_opus": 5}
    assert limits.windows[0].resets_at is None
    assert limits.left_out == ("5h: resets_at is no time",)


def test_a_bad_time_is_mended_by_the_other_shape() -> None:
    limits = read({"five_hour": flat(97, "soon"), "limits": [session(97)]})
    assert limits.windows[0].resets_at is not None
    assert limits.left_out == ()


@pytest.mark.parametrize(
    ("answer", "left_out", "is_unreadable"),
    [
        ({"five_hour": flat("x"), "seven_day": flat(3)}, ("5h: utilization is no number",), False),
        ({"five_hour": flat("x"), "seven_day": None}, ("5h: utilization is no number",), True),
        ({"five_hour": 97}, ("5h: no limit",), True),
        ({"limits": [row("x", model("Opus"))]}, ("7d_opus: percent is no number",), True),
        ({"limits": ["session"]}, ("limits[0]: no limit",), True),
        ({"limits": "session"}, ("limits: no list",), True),
        ({"limits": {"session": 5}}, ("limits: no list",), True),
        ({"five_hour": None, "limits": [None]}, (), False),
    ],
)
def test_what_is_left_out_is_named(
    answer: dict[str, Any], left_out: tuple[str, ...], is_unreadable: bool
) -> None:
    limits = read(answer)
    assert (limits.left_out, limits.is_unreadable) == (left_out, is_unreadable)


def test_a_lock_holds_in_either_shape() -> None:
    answer = {
        "five_hour": flat(3, locked_reason="seat_removed"),
        "limits": [session(3), week(5, locked_reason="seat_removed")],
    }
    assert [window.locked_reason for window in read(answer).windows] == ["seat_removed"] * 2


@pytest.mark.parametrize("key", ["5h", "7d", "extra", "7d_opus", "5h_ソネット", "monthly_new"])
def test_a_window_can_be_called_by_its_key(key: str) -> None:
    assert is_window_key(key)


@pytest.mark.parametrize(
    "key", ["", "6h", "5H", "7d_", "7d_Opus", "7d__opus", "6h_opus", "7d opus", "week"]
)
def test_a_misspelled_key_is_none(key: str) -> None:
    assert not is_window_key(key)


# A grammar of answers: known fields with sound, missing and odd values in every place.

percents = st.integers(0, 200) | st.floats(0, 1000)
odd = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=1)
    | st.just(1e308)
)
numbers = percents | odd
times = st.sampled_from([RESET, None, 1779188400, "soon", 1e300, True, "2026-07-08T09:00:00"])
names = (
    st.none()
    | st.sampled_from(["Opus", "opus", "Opus+", "ソネット", "", "🔥"])
    | st.text(max_size=4)
)
surfaces = (
    names | st.fixed_dictionaries({"name": names}) | st.fixed_dictionaries({"display_name": names})
)
scopes = (
    st.none()
    | names
    | st.fixed_dictionaries(
        {},
        optional={
            "model": names
            | st.fixed_dictionaries({}, optional={"display_name": names, "id": names}),
            "surface": surfaces,
            "label": names,
        },
    )
)
kinds = st.sampled_from(
    ["session", "weekly_all", "weekly_scoped", "weekly_opus", "monthly_new", None, 7]
)
rows = st.fixed_dictionaries(
    {},
    optional={
        "kind": kinds,
        "group": st.sampled_from(["session", "weekly", None, []]),
        "percent": numbers,
        "resets_at": times,
        "scope": scopes,
    },
)
flats = st.fixed_dictionaries({}, optional={"utilization": numbers, "resets_at": times})
FLAT = ["five_hour", "seven_day", "seven_day_opus", "seven_day_cowork", "five_hour_sonnet"]
answers = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("five_hour", "seven_day", "seven_day_opus", "seven_day_cowork", "five_hour_sonnet"),
            flats | odd,
        ),
        "limits": st.lists(rows | odd, max_size=6) | odd,
    },
)


def _number(value: object) -> float | None:
    """The figure, judged apart from the reader."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number <= 10_000 else None


def _all_numbers(answer: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Those of the rows, and those of the flat limits."""
    limits = answer.get("limits")
    told = (
        [one.get("percent") for one in limits if isinstance(one, dict)]
        if isinstance(limits, list)
        else []
    )
    flats = [block.get("utilization") for block in answer.values() if isinstance(block, dict)]
    return (
        [number for value in told if (number := _number(value)) is not None],
        [number for value in flats if (number := _number(value)) is not None],
    )


@given(answers)
def test_no_limit_is_lost_merged_or_refused(answer: dict[str, Any]) -> None:
    limits = read(answer)
    shown = [window.utilization * 100 for window in limits.windows]
    told, flat_ones = _all_numbers(answer)
    assert len({window.key for window in limits.windows}) == len(shown)
    assert not (limits.is_unreadable and (told or flat_ones))
    assert len(told) <= len(shown) <= len(told) + len(flat_ones)
    for number in [*told, *flat_ones]:
        assert any(-1e-9 <= value - number <= SAME_FIGURE + 1e-9 for value in shown), number
    assert max(shown, default=0) == pytest.approx(max([*told, *flat_ones], default=0))


@given(answers)
def test_rows_in_another_order_give_the_same_figures(answer: dict[str, Any]) -> None:
    limits = answer.get("limits")
    turned = {**answer, "limits": limits[::-1]} if isinstance(limits, list) else answer
    assert Counter(figures(read(answer)).values()) == Counter(figures(read(turned)).values())


@given(
    st.recursive(
        odd | percents,
        lambda inner: (
            st.dictionaries(
                st.sampled_from(
                    [
                        "five_hour",
                        "seven_day_opus",
                        "limits",
                        "utilization",
                        "percent",
                        "scope",
                        "model",
                        "id",
                        "kind",
                        "label",
                    ]
                ),
                inner,
            )
            | st.lists(inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read(answer: object) -> None:
    if isinstance(answer, dict):
        assert all(window.utilization >= 0 for window in read(answer).windows)
