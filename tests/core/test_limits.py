"""Shapes of limits that accounts really get, with invented values; and what comes out of each."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.limits import SAME_FIGURE, Limits, is_window_key, read_limits

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


def read(answer: Mapping[str, Any]) -> Limits:
    return read_limits(answer, "utilization")


def figures(limits: Limits) -> dict[str, float]:
    """By key, in percent."""
    return {window.key: round(window.utilization * 100, 6) for window in limits.windows}


LONG = "Opus of the very long name that no table holds, part "

SHAPES: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    # Null and missing: no such figure.
    "null windows": ({"five_hour": None, "seven_day": None}, {}),
    "null beside a figure": ({"five_hour": flat(97), "seven_day": None}, {"5h": 97}),
    "null utilization": ({"five_hour": flat(97), "seven_day": flat(None, None)}, {"5h": 97}),
    "null utilization with a reset": ({"five_hour": flat(None), "seven_day": flat(3)}, {"7d": 3}),
    "all null": ({"five_hour": flat(None, None), "seven_day": flat(None, None)}, {}),
    "no utilization": ({"five_hour": {"resets_at": None}, "seven_day": flat(3)}, {"7d": 3}),
    "an empty window": ({"five_hour": {}, "seven_day": flat(3)}, {"7d": 3}),
    "null reset": ({"five_hour": flat(0, None)}, {"5h": 0}),
    "no reset": ({"five_hour": {"utilization": 8}}, {"5h": 8}),
    "null rows": ({"five_hour": flat(1), "limits": None}, {"5h": 1}),
    "no rows": ({"five_hour": flat(1), "limits": []}, {"5h": 1}),
    "an object for rows": ({"five_hour": flat(1), "limits": {}}, {"5h": 1}),
    "a null row": ({"limits": [None, session(100)]}, {"5h": 100}),
    "a row of null percent": ({"limits": [week(None), session(100)]}, {"5h": 100}),
    "a row without percent": ({"limits": [{"kind": "weekly_all"}, session(4)]}, {"5h": 4}),
    "null scope and kind": ({"limits": [row(4, None, kind=None, group=None)]}, {"limit": 4}),
    "null flat, told row": ({"five_hour": None, "limits": [session(4)]}, {"5h": 4}),
    "told flat, null row": ({"five_hour": flat(4), "limits": [session(None)]}, {"5h": 4}),
    # Numbers and times that are none cost themselves alone.
    "a figure in words": ({"five_hour": flat("much"), "seven_day": flat(3)}, {"7d": 3}),
    "a figure as text": ({"five_hour": flat("42.5")}, {"5h": 42.5}),
    "true": ({"five_hour": flat(True), "seven_day": flat(3)}, {"7d": 3}),
    "a list": ({"five_hour": flat([7]), "seven_day": flat(3)}, {"7d": 3}),
    "less than nothing": ({"five_hour": flat(-1), "seven_day": flat(3)}, {"7d": 3}),
    "far too much": ({"five_hour": flat(1e308), "seven_day": flat(3)}, {"7d": 3}),
    "an epoch": ({"five_hour": flat(1795888800), "seven_day": flat(3)}, {"7d": 3}),
    "more digits than a float": ({"five_hour": flat(10**400), "seven_day": flat(3)}, {"7d": 3}),
    "above the limit": ({"five_hour": flat(105), "seven_day": flat(2000)}, {"5h": 105, "7d": 2000}),
    "below one percent": ({"five_hour": flat(0.5), "seven_day": flat(1.0)}, {"5h": 0.5, "7d": 1}),
    "a window that is none": ({"five_hour": "full", "seven_day": flat(3)}, {"7d": 3}),
    "a row that is none": ({"limits": ["session", 7, [], session(3)]}, {"5h": 3}),
    "unread flat, told row": ({"five_hour": flat("x"), "limits": [session(4)]}, {"5h": 4}),
    "a row that says utilization": ({"limits": [{"kind": "session", "utilization": 4}]}, {"5h": 4}),
    # Each way to name a row.
    "by display name": ({"limits": [row(5, model("Fable"))]}, {"7d_fable": 5}),
    "by model id": ({"limits": [row(5, model(None, "claude-fable-5"))]}, {"7d_claude_fable_5": 5}),
    "name before id": ({"limits": [row(5, model("Fable", "claude-x"))]}, {"7d_fable": 5}),
    "name of spaces": ({"limits": [row(5, model("  ", "claude-x"))]}, {"7d_claude_x": 5}),
    "model as text": ({"limits": [row(5, {"model": "Opus"})]}, {"7d_opus": 5}),
    "surface as text": (
        {"limits": [row(5, {"model": None, "surface": "cowork"})]},
        {"7d_cowork": 5},
    ),
    "surface by name": ({"limits": [row(5, {"surface": {"name": "Code"}})]}, {"7d_code": 5}),
    "surface by display name": (
        {"limits": [row(5, {"surface": {"display_name": "Claude Code", "name": "cc"}})]},
        {"7d_claude_code": 5},
    ),
    "label": ({"limits": [row(5, {"label": "Design team"})]}, {"7d_design_team": 5}),
    "label beside the scope": ({"limits": [row(5, None, label="Design")]}, {"7d_design": 5}),
    "scope as text": ({"limits": [row(5, "Design")]}, {"7d_design": 5}),
    "kind alone": ({"limits": [row(5, kind="weekly_opus")]}, {"7d_opus": 5}),
    "kind with a version": ({"limits": [row(5, kind="weekly_sonnet_4_5")]}, {"7d_sonnet_4_5": 5}),
    "a scoped row of no name": ({"limits": [row(5)]}, {"7d_scoped": 5}),
    "an unknown period": (
        {"limits": [row(5, kind="monthly_new", group="monthly")]},
        {"monthly_new": 5},
    ),
    "a model of an unknown period": (
        {"limits": [row(5, model("Opus"), kind="monthly_scoped", group="monthly")]},
        {"monthly_opus": 5},
    ),
    "a model without a period": (
        {"limits": [row(5, model("Opus"), kind=None, group=None)]},
        {"opus": 5},
    ),
    "a model of a session": (
        {"limits": [session(9), session(5, scope=model("Opus"))]},
        {"5h": 9, "5h_opus": 5},
    ),
    "odd types for names": (
        {"limits": [row(5, {"model": [1], "surface": 7, "label": {}}, kind=[], group={})]},
        {"limit": 5},
    ),
    # In any script.
    "Japanese": ({"limits": [row(5, model("ソネット"))]}, {"7d_ソネット": 5}),
    "Cyrillic": ({"limits": [row(5, model("Опус 4"))]}, {"7d_опус_4": 5}),
    "Devanagari": ({"limits": [row(5, model("ओपस"))]}, {"7d_ओपस": 5}),
    "Arabic": ({"limits": [row(5, model("أوبوس"))]}, {"7d_أوبوس": 5}),
    "full width": ({"limits": [row(5, model("Ｏｐｕｓ"))]}, {"7d_opus": 5}),
    "a zero-width space": ({"limits": [row(5, model("Op\u200bus"))]}, {"7d_opus": 5}),
    "half a character": ({"limits": [row(5, model("Opus \ud83d"))]}, {"7d_opus": 5}),
    "a name of pictures": ({"limits": [row(5, model("🔥🔥", "hot-1"))]}, {"7d_hot_1": 5}),
    "an escape sequence": ({"limits": [row(5, model("\x1b[31mOpus"))]}, {"7d_31mopus": 5}),
    # Equal names.
    "one model, one of them for a surface": (
        {"limits": [row(5, model("Opus")), row(90, model("Opus", surface="Cowork"))]},
        {"7d_opus": 5, "7d_opus_cowork": 90},
    ),
    "one model, two surfaces": (
        {"limits": [row(5, model("Opus", surface="web")), row(9, model("Opus", surface="cowork"))]},
        {"7d_opus_web": 5, "7d_opus_cowork": 9},
    ),
    "one model, a label": (
        {"limits": [row(5, model("Opus", label="team")), row(9, model("Opus"))]},
        {"7d_opus_team": 5, "7d_opus": 9},
    ),
    "one name, two models": (
        {"limits": [row(5, model("Opus", "opus-4")), row(9, model("Opus", "opus-5"))]},
        {"7d_opus_opus_4": 5, "7d_opus_opus_5": 9},
    ),
    "nothing apart": (
        {"limits": [row(5, model("Opus")), row(90, model("Opus")), row(40, model("Opus"))]},
        {"7d_opus": 90, "7d_opus_2": 40, "7d_opus_3": 5},
    ),
    "a number that is taken": (
        {"limits": [row(5, model("Opus")), row(9, model("Opus")), row(7, model("Opus 2"))]},
        {"7d_opus": 9, "7d_opus_2": 7, "7d_opus_3": 5},
    ),
    "names equal but for their signs": (
        {"limits": [row(5, model("Opus")), row(9, model("Opus+"))]},
        {"7d_opus": 9, "7d_opus_2": 5},
    ),
    "two weeks": ({"limits": [week(5), week(97)]}, {"7d": 97, "7d_2": 5}),
    "a scoped row and a kind": (
        {"limits": [row(5, model("Opus")), row(9, kind="weekly_opus")]},
        {"7d_opus_scoped": 5, "7d_opus": 9},
    ),
    "names that are cut": (
        {"limits": [row(5, model(LONG + "one")), row(9, model(LONG + "two"))]},
        {
            "7d_opus_of_the_very_long_name_that_no_table": 9,
            "7d_opus_of_the_very_long_name_that_no_table_2": 5,
        },
    ),
    "a surface named by a row without a figure": (
        {"limits": [row(None, model("Opus")), row(9, model("Opus", surface="web"))]},
        {"7d_opus_web": 9},
    ),
    # Flat keys, and the same limit in both shapes.
    "flat models and surfaces": (
        {
            **{f"seven_day_{name}": flat(5) for name in ("opus", "sonnet_4_5", "haiku", "fable")},
            **{f"seven_day_{name}": flat(6) for name in ("cowork", "routines", "overage_included")},
            "five_hour_sonnet": flat(7),
        },
        {
            "7d_opus": 5,
            "7d_sonnet_4_5": 5,
            "7d_haiku": 5,
            "7d_fable": 5,
            "7d_cowork": 6,
            "7d_routines": 6,
            "7d_overage_included": 6,
            "5h_sonnet": 7,
        },
    ),
    "codenames": (
        {
            "five_hour": flat(1),
            "iguana_necktie": flat(100),
            "juniper_tide": flat(100),
            "seven_day_omelette": flat(100),
            "seven_day_breakdown": {"as_of": RESET, "rows": []},
        },
        {"5h": 1},
    ),
    "told twice": ({"five_hour": flat(36.6), "limits": [session(37)]}, {"5h": 37}),
    "told twice, the flat one is higher": (
        {"five_hour": flat(37.4), "limits": [session(37)]},
        {"5h": 37.4},
    ),
    "told twice, and not alike": (
        {"seven_day": flat(97), "limits": [week(40)]},
        {"7d": 97, "7d_2": 40},
    ),
    "a flat model and its row": (
        {"seven_day_opus": flat(5), "limits": [row(5, model("Opus"))]},
        {"7d_opus": 5},
    ),
}


@pytest.mark.parametrize(("answer", "expected"), SHAPES.values(), ids=list(SHAPES))
def test_a_shape_gives_its_limits(answer: dict[str, Any], expected: dict[str, float]) -> None:
    limits = read(answer)
    assert figures(limits) == expected
    assert not limits.is_unreadable
    assert all(is_window_key(key) or "_" not in key for key in expected)


def test_there_are_at_least_sixty_shapes() -> None:
    assert len(SHAPES) >= 60


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
