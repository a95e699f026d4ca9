"""The typed codec: every value of the model comes back as it was, and a wrong document is one kind of error."""

import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.alerts.memory import Condition, WindowMemory
from monitor.core.alerts.rules import RuleBook
from monitor.core.codec import DecodeError, decode, encode
from monitor.core.effects import Alert
from monitor.core.model import (
    AccountState,
    Credential,
    Down,
    Health,
    Secret,
    Unpolled,
    Up,
    Usage,
    Window,
)
from monitor.core.state import NotificationLog, State

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KINDS: list[Any] = [AccountState, WindowMemory, Condition, Alert, RuleBook, NotificationLog, State]


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
        (Window, {"key": "5h", "utilization": 10**400}, "utilization: is no finite number"),
        (Window, {"key": "5h", "utilization": True}, "utilization: has to be a number, not bool"),
        (
            Window,
            {"key": "5h", "utilization": 0, "confirmed": 1},
            "confirmed: has to be true or false",
        ),
        (Window, [], "an object, not list"),
        (Odd, {"steps": [1]}, "steps: has to be a list of 2"),
        (Odd, {"pairs": [["a"]]}, "pairs: has to be a list of pairs"),
        (Odd, {"money": "nan"}, "money: "),
        (Odd, {"money": "ten"}, "money: is no decimal number"),
        (Health, {"type": "Sideways"}, "type has to be one of Unpolled, Up, Down"),
    ],
)
def test_a_wrong_document_names_the_place(kind: Any, plain: Any, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        decode(kind, plain)


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
    plain = encode(Credential, credential, secrets=True)
    assert decode(Credential, plain, secrets=True) == credential
