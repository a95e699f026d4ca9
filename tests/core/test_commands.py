"""A command is the same value on both ends of the socket."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.commands import (
    AddAccount,
    Ingest,
    Refresh,
    Request,
    decode_request,
    encode_request,
)
from monitor.core.model import Secret

documents = st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3)
requests = st.one_of(
    *(st.builds(one) for one in get_args(Request) if one is not Ingest),
    st.builds(Ingest, st.none() | documents),
)


@given(requests)
def test_a_request_comes_back_as_it_was(request: Request) -> None:
    arrived = json.loads(json.dumps(encode_request(request)))
    assert decode_request(arrived) == request


def test_a_key_with_no_argument_is_a_small_object() -> None:
    assert encode_request(Refresh()) == {"type": "Refresh"}
    assert encode_request(Refresh("work")) == {"type": "Refresh", "account": "work"}


def test_a_session_key_travels_and_shows_itself_nowhere_else() -> None:
    command = AddAccount("work", Secret("sk-ant-sid01-x"), "org")
    assert encode_request(command)["session_key"] == "sk-ant-sid01-x"
    assert "sk-ant" not in repr(command)


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        {"type": "Reboot"},
        {"type": ["Refresh"]},
        {"type": "Refresh", "account": 1},
        {"type": "RemoveAccount"},
        {"type": "Guard", "max_utilization": float("nan")},
    ],
)
def test_what_is_no_request_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError, match=r"has to be|missing|finite"):
        decode_request(plain)
