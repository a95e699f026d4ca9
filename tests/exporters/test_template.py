"""Lines in the user's own format: every field, what is missing, widths, conversions, and wrong formats."""

import json
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.template import ACCOUNT_FIELDS, DEFAULT, WINDOW_FIELDS, parse_format, render_line
from monitor.core.errors import Reason, SettingsError
from monitor.core.model import Account, Window
from tests.builders import NOW, after, before, failing, live, state, waiting, window

WORK = live(
    "user@work.com",
    window("5h", 42.7, timedelta(hours=2, minutes=14)),
    window("7d", 18, timedelta(days=6, hours=23)),
    window("7d_opus", 99.6, timedelta(days=1)),
    at=before(seconds=48),
    plan="max_20x",
    login_expires_at=after(days=20, hours=3),
    account=Account("user@work.com", org_id="65f1", label="work"),
)
NEW = waiting("new")
DOWN = failing(
    live("d", window("5h", 0.4), window("7d", 130, timedelta(seconds=-5)), at=before(hours=3)),
    Reason.RATE_LIMITED,
    "too\x1b[31m many",
)
ALL = state(WORK, NEW, DOWN, logged_in="d")


def line(text: str, account: str = "user@work.com") -> str:
    return render_line(parse_format(text), ALL, account, NOW, UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{name} {5h.percent}% {5h.resets_in}", "user@work.com 42% 2h 14m"),
        ("{label} {number} {org_id} {plan}", "work 1 65f1 max_20x"),
        ("{status} {failure} {detail}", "live – –"),
        ("[{active}] [{logged_in}]", "[*] []"),
        ("{age} {age_seconds} {requests}", "48s 48 1"),
        ("{login_expires_in} {login_expires_at}", "20d 03h 12 Dec 15:00"),
        ("{login_expires_in_seconds}", "1738800"),
        ("{5h.used} {5h.left} {5h.ratio}", "42% 57 0.42"),
        ("{5h.resets_at} {5h.resets_in_seconds}", "14:14 8040"),
        ("{5h.bar} {7d.bar}", "████▎░░░░░ █▊░░░░░░░░"),
        ("{7d_opus.percent} {7d_opus.level} {7d_opus.color}", "99 critical #e0443e"),
        ("{7d_fable.used} {7d_fable.level} {7d_fable.locked}", "– unknown "),
        ("{worst.window} {worst.percent}", "5h 42"),
        ("{{{name}}}", "{user@work.com}"),
        ("plain: 100%", "plain: 100%"),
        ("", ""),
    ],
)
def test_a_field_says(text: str, shown: str) -> None:
    assert line(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{5h.percent}% {5h.used} {5h.resets_in} {5h.resets_at}", "–% – – –"),
        ("{5h.bar:4} {age} {plan} {status}", "──── – – waiting"),
        ("{active}{logged_in}{requests}", "0"),
        ("{login_expires_in} {login_expires_in_seconds!j} {login_expires_at}", "– null –"),
    ],
)
def test_what_is_not_known_is_a_dash(text: str, shown: str) -> None:
    assert line(text, "new") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{5h.used} {5h.percent} {5h.resets_in}", "<1% 0 –"),
        ("{7d.used} {7d.percent} {7d.resets_in}", "~0% 0 expected"),
        ("{status} {failure} {detail} {age}", "failing rate_limited Too many 3h"),
        ("{logged_in}{active}", "*"),
    ],
)
def test_an_account_that_fails_keeps_its_figures(text: str, shown: str) -> None:
    assert line(text, "d").replace("too", "Too") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{5h.percent:3}|{name:6.4}|{label:>6}|{label:_^8}", " 42|user  |  work|__work__"),
        ("{5h.percent:.1} {5h.ratio:.4} {7d_opus.percent:<4}|", "42.7 0.4270 99  |"),
        ("{5h.bar:4}", "█▊░░"),
    ],
)
def test_a_width_and_a_precision(text: str, shown: str) -> None:
    assert line(text) == shown


@pytest.mark.parametrize("name", ["user@work.com", "new", "d"])
def test_json_for_a_bar_can_be_written(name: str) -> None:
    text = (
        '{{"text": "{label!j} {5h.used!j} \\"", "class": "{5h.level!j}", "percentage": {5h.percent!j},'
        ' "tooltip": "{detail!j}", "alt": {logged_in!j}, "ratio": {5h.ratio!j}}}'
    )
    document = json.loads(line(text, name))
    assert isinstance(document["percentage"], int | None)
    assert document["alt"] is (name == "d")


def test_markup_is_escaped_where_it_is_asked_for() -> None:
    one = state(live("<b>&", window("5h", 1)))
    assert render_line(parse_format("<i>{name!x}</i>"), one, "<b>&", NOW) == "<i>&lt;b&gt;&amp;</i>"


def test_tmux_obeys_no_name_where_it_is_asked_for() -> None:
    """It takes `#(…)` for a command, `#[…]` for a style, `#{…}` for a format; `##` is a plain one."""
    one = state(live("#(id) #[fg=red]"))
    line = render_line(parse_format("#[fg=blue]{name!t}"), one, "#(id) #[fg=red]", NOW)
    assert line == "#[fg=blue]##(id) ##[fg=red]"


def test_nothing_of_a_name_is_obeyed_by_a_terminal() -> None:
    one = state(live("a\x1b]0;title\x07\nb\u202e", window("5h", 1)))
    assert render_line(parse_format("{name}"), one, next(iter(one.accounts)), NOW) == "a b"


def test_a_locked_window_is_critical_whatever_its_percentage() -> None:
    one = state(live("a", Window("5h", 0.1, locked_reason="abuse")))
    assert render_line(parse_format("{5h.level}{5h.locked}"), one, "a", NOW) == "critical*"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{nme} x", ["no field {nme} at character 1", "did you mean {name}?", "resets_in", "plan"]),
        ("{name} {5h.precent}", ["{5h.precent} at character 8", "did you mean {5h.percent}?"]),
        ("{7d_opus.colour}", ["did you mean {7d_opus.color}?"]),
        ("{5hours.percent}", ["no field {5hours.percent}", "did you mean {5h.percent}?"]),
        ("{}", ["no field {}"]),
        ("{zzzzzzzzz}", ["there are name, label"]),
        ("{name", ["expected", "written twice"]),
        ("100}", ["Single", "written twice"]),
        ("{name!r}", ["no conversion !r at character 1", "!j, !x, !t"]),
        ("{name:d}", ["not a width: 'd' at character 1"]),
        ("{\x1b[31mname}", ["expected '}'"]),
    ],
)
def test_a_wrong_format_is_told_with_its_place(text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_format(text)
    told = str(caught.value)
    assert told.startswith("--format: ")
    assert "\n" not in told
    assert "\x1b" not in told
    assert [word for word in words if word not in told] == []


@given(st.text())
def test_any_text_is_a_format_or_wrong_usage(text: str) -> None:
    try:
        made = parse_format(text)
    except SettingsError:
        return
    assert isinstance(render_line(made, ALL, "d", NOW).encode(), bytes)


fields = [
    *ACCOUNT_FIELDS,
    *(f"{key}.{f}" for key in ("5h", "7d_x", "worst") for f in WINDOW_FIELDS),
]
numbers = st.floats() | st.sampled_from([0.0, 1.0, float("nan"), float("inf")])


@given(
    st.sampled_from(fields),
    st.sampled_from(["", "!j", "!x", "!t", ":30", ":.3", "!j:9.1"]),
    numbers,
)
def test_every_field_says_something_of_every_figure(field: str, how: str, figure: float) -> None:
    one = live("a", Window("5h", figure), Window("7d", 1.0), Window("7d_x", figure))
    text = render_line(parse_format(f"{{{field}{how}}}"), state(one), "a", NOW)
    assert "\n" not in text


def test_the_default_format_is_one() -> None:
    assert line(DEFAULT) == "user@work.com 42% 2h 14m 18% 6d 23h"
