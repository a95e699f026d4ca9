"""The typed codec: every value of the model comes back as it was, and a wrong document is one kind of error."""

import copy
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.alerts.rules import Alert, Condition, RuleBook, WindowMemory
from monitor.core.codec import DecodeError, decode, encode
from monitor.core.commands import EditAccount
from monitor.core.errors import Reason
from monitor.core.model import (
    AccountState,
    Credential,
    Down,
    Secret,
    Usage,
    Window,
)
from monitor.core.state import NotificationLog, State

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KINDS: list[Any] = [AccountState, WindowMemory, Condition, Alert, RuleBook, NotificationLog, State]


@dataclass(frozen=True)
class Unpolled:
    pass


@dataclass(frozen=True)
class Up:
    since: datetime


Health = Unpolled | Up | Down


def through_text(plain: object) -> Any:
    return json.loads(json.dumps(plain, allow_nan=False))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=30, suppress_health_check=[HealthCheck.data_too_large])
@given(data=st.data())
def test_a_value_comes_back_as_it_was(kind: Any, data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    assert decode(kind, through_text(encode(kind, value))) == value


@given(st.one_of(st.builds(Unpolled), st.builds(Up), st.builds(Down)))
def test_members_of_a_union_are_told_apart_by_their_name(health: Health) -> None:
    plain = encode(Health, health)
    assert plain["type"] == type(health).__name__
    assert decode(Health, through_text(plain)) == health


def test_a_field_that_has_its_default_is_left_out() -> None:
    assert encode(Window, Window("5h", 0.4)) == {"key": "5h", "utilization": 0.4}


def test_a_field_of_a_newer_version_is_ignored() -> None:
    assert decode(Window, {"key": "5h", "utilization": 0.4, "color": "red"}) == Window("5h", 0.4)


@dataclass(frozen=True)
class Odd:
    pairs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    spans: Mapping[float, datetime] = field(default_factory=dict)
    steps: tuple[int, str] = (0, "")
    money: Decimal | None = None
    flags: frozenset[bool] = frozenset()
    reason: Reason | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def nested(depth: int) -> Any:
    inner: Any = []
    for _ in range(depth):
        inner = [inner]
    return inner


DEEP = nested(100_000)
"""More than Python's stack takes, so that even its repr is an error."""


def test_keys_that_are_no_texts_become_pairs() -> None:
    odd = Odd({("a", "b"): 1}, {0.8: NOW}, (1, "x"), Decimal("9.50"), frozenset([True]))
    plain = encode(Odd, odd)
    assert plain["pairs"] == [[["a", "b"], 1]]
    assert decode(Odd, through_text(plain)) == odd


@pytest.mark.parametrize(
    ("kind", "plain", "problem"),
    [
        (
            Usage,
            {"at": 0, "windows": [{"key": "5h", "utilization": "x"}]},
            r"windows\[0\].utilization: .* a number",
        ),
        (Usage, {"at": 0, "windows": [{"utilization": 0.1}]}, r"windows\[0\]: key is missing"),
        (Usage, {"at": 10**30}, "at: "),
        (Usage, {"at": True}, "at: "),
        (Usage, {"at": 0, "windows": {}}, "windows: has to be a list"),
        (Window, {"key": "\ud800", "utilization": 0}, "key: is no valid text"),
        (Window, {"key": "5h", "utilization": 10**400}, "utilization: is too large a number"),
        (Window, {"key": "5h", "utilization": math.inf}, "utilization: is no finite number"),
        (Window, {"key": "5h", "utilization": True}, "utilization: has to be a number, not bool"),
        (
            Window,
            {"key": "5h", "utilization": 0, "confirmed": 1},
            "confirmed: has to be true or false",
        ),
        (Window, [], "an object, not list"),
        (Odd, {"steps": [1]}, "steps: has to be a list of 2"),
        (Odd, {"steps": [1, 2]}, r"steps\[1\]: has to be a text"),
        (Odd, {"steps": [10**400, ""]}, r"steps\[0\]: is too large a number"),
        (Odd, {"pairs": {}}, "pairs: has to be a list, not dict"),
        (Odd, {"pairs": [["a"]]}, r"pairs\[0\]: has to be a list of 2"),
        (Odd, {"pairs": [[["a", "b"], "x"]]}, r"pairs\[0\]\[1\]: has to be a whole number"),
        (Odd, {"pairs": [[DEEP, 1]]}, r"pairs\[0\]\[0\]: has to be a list of 2"),
        (Odd, {"money": "1E+999999"}, "money: is no finite number"),
        (Odd, {"reason": ["auth"]}, "reason: has to be one of auth, scope"),
        (Odd, {"reason": "\ud800"}, "reason: has to be one of auth, scope"),
        (Odd, {"money": "nan"}, "money: "),
        (Odd, {"money": "ten"}, "money: is no decimal number"),
        (Health, {"type": "Sideways"}, "type has to be one of Unpolled, Up, Down"),
    ],
)
def test_a_wrong_document_names_the_place(kind: Any, plain: Any, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        decode(kind, plain)


def test_a_strange_key_is_escaped_in_the_path() -> None:
    plain = {"counts": {"a\n\x1b[31m\ud800": "x"}}
    with pytest.raises(DecodeError) as refused:
        decode(Odd, plain)
    assert str(refused.value).isprintable()
    assert str(refused.value).encode().startswith(b"counts.'a\\n\\x1b[31m\\ud800': has to be")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_no_word_for_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="JSON has no word for"):
        encode(Window, Window("5h", number))


def test_a_value_of_another_union_is_not_written() -> None:
    with pytest.raises(TypeError, match="Window is none of Unpolled, Up, Down"):
        encode(Health, Window("5h", 0.4))


@dataclass(frozen=True)
class Typed:
    type: str


@pytest.mark.parametrize("kind", [Typed | Window, int | str, complex, list[int]])
def test_a_type_that_could_not_be_read_back_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(TypeError):
        encode(kind, Typed("x"))


def test_instants_keep_their_microsecond_wherever_their_clock_stands() -> None:
    east = datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert decode(Up, encode(Up, Up(east))).since == east
    for end in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert decode(Up, encode(Up, Up(end))).since == end


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=60)
@given(data=st.data(), value=st.from_type(AccountState))
def test_a_damaged_document_is_read_or_refused(data: st.DataObject, value: AccountState) -> None:
    plain = copy.deepcopy(through_text(encode(AccountState, value)))
    place = plain
    while isinstance(place, dict | list) and place:
        key = data.draw(
            st.sampled_from(list(place) if isinstance(place, dict) else range(len(place)))
        )
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = data.draw(junk)
            break
        place = place[key]
    with suppress(DecodeError):
        assert isinstance(decode(AccountState, plain), AccountState)


def test_a_secret_stands_in_no_document_unless_that_is_wanted() -> None:
    credential = Credential(Secret("sk-ant-x"), expires_at=NOW + timedelta(hours=1))
    with pytest.raises(TypeError, match="a secret stands in no document") as refused:
        encode(Credential, credential)
    assert "sk-ant" not in str(refused.value)
    with pytest.raises(TypeError, match="a secret stands in no document"):
        decode(Credential, {"secret": "sk-ant-x"})
    plain = encode(Credential, credential, secrets=True)
    assert decode(Credential, plain, secrets=True) == credential


def test_what_could_hold_a_secret_is_refused_though_it_has_none() -> None:
    with pytest.raises(TypeError, match="a secret stands in no document"):
        encode(EditAccount, EditAccount("work", "home", "org"))


def test_half_a_character_is_replaced_and_the_document_can_be_read() -> None:
    window = decode(Window, through_text(encode(Window, Window("caf\udce9 ünï 😀", 0.4))))
    assert window.key == "caf\N{REPLACEMENT CHARACTER} ünï 😀"
