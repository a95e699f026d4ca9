"""The documents of the state: what is kept comes back exactly; what is not, and what is strange, does no harm."""

import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.memory import Condition, WindowMemory
from monitor.core.codec_v1 import (
    parse_account,
    parse_change,
    parse_state,
    render_account,
    render_change,
    render_state,
)
from monitor.core.errors import Cause, Failure, Reason, Source
from monitor.core.model import (
    Account,
    AccountState,
    AuthMethod,
    Down,
    ExtraUsage,
    Health,
    Identity,
    Storage,
    Unpolled,
    Up,
    Usage,
    Window,
)
from monitor.core.policy import Policy
from monitor.core.state import NotificationLog, State
from tests.builders import NOW, before, live, state, window

texts = st.text(max_size=9)
instants = st.datetimes(timezones=st.just(UTC))
counts = st.integers(0, 1 << 40)
ratios = st.floats(0, allow_infinity=False)
money = st.none() | st.decimals(allow_nan=False, allow_infinity=False)
usages = st.builds(
    Usage,
    instants,
    st.lists(
        st.builds(Window, texts, ratios, st.none() | instants, st.none() | texts, st.booleans()),
        max_size=3,
    ).map(tuple),
    st.none() | st.builds(ExtraUsage, st.booleans(), money, money, texts),
)
failures = st.builds(
    Failure,
    st.sampled_from(Reason),
    st.none() | st.sampled_from(Cause),
    st.none() | st.sampled_from(Source),
    texts,
    st.none() | texts,
    st.none() | texts,
    texts,
    st.none() | st.timedeltas(),
)
healths: st.SearchStrategy[Health] = st.one_of(
    st.just(Unpolled()),
    st.builds(Up, instants),
    st.builds(Down, instants, failures),
)
accounts = st.builds(
    AccountState,
    account=st.builds(
        Account,
        name=texts,
        org_id=texts,
        auth_method=st.sampled_from(AuthMethod),
        label=st.none() | texts,
        storage=st.none() | st.sampled_from(Storage),
        config_dir=st.none() | texts,
    ),
    next_poll_at=instants,
    interval=st.timedeltas(),
    phase=st.floats(0, 1),
    usage=st.none() | usages,
    health=healths,
    last_success_at=st.none() | instants,
    polling=st.booleans(),
    requests=st.lists(instants, max_size=4).map(tuple),
    polls=counts,
    failures=st.dictionaries(st.sampled_from(Reason), counts, max_size=3),
    failures_in_a_row=counts,
    poll_duration=st.none() | st.timedeltas(),
    backoff_until=st.none() | instants,
    throttled_at=st.none() | instants,
    identity=st.none() | st.builds(Identity, texts, texts),
    plan=st.none() | texts,
    token_expires_at=st.none() | instants,
    login_expires_at=st.none() | instants,
    config_dir=st.none() | texts,
)
tallies = st.dictionaries(st.tuples(texts, texts), counts, max_size=3)
states = st.builds(
    State,
    policy=st.builds(Policy, st.timedeltas()),
    accounts=st.lists(accounts, max_size=3).map(lambda all_: {a.account.name: a for a in all_}),
    active=st.integers(-1, 9),
    logged_in=st.none() | texts,
    notifications=st.builds(
        NotificationLog,
        tallies,
        tallies,
        st.none() | instants,
        st.none() | texts,
        st.none() | texts,
    ),
    muted_until=st.none() | instants,
    storage_failure=st.none() | texts,
)


def sent(document: object) -> Any:
    """The document as it arrives: through JSON text."""
    return json.loads(json.dumps(document))


@given(accounts)
def test_an_account_comes_back_as_it_was(account: AccountState) -> None:
    assert parse_account(sent(render_account(account))) == account


@given(states)
def test_a_state_comes_back_as_it_was(whole: State) -> None:
    back = parse_state(sent(render_state(whole)))
    assert back == whole
    assert list(back.accounts) == list(whole.accounts)


def test_every_field_of_an_account_is_kept_or_left_out_on_purpose() -> None:
    values: dict[str, Any] = {
        "usage": Usage(NOW, (Window("5h", 0.5),), ExtraUsage(True, Decimal("1.50"))),
        "health": Down(NOW, Failure(Reason.AUTH, detail="x")),
        "identity": Identity("a", "o"),
        "alerts": {"5h": WindowMemory(NOW, 0.5, None, 0.5)},
        "conditions": {"login:": Condition(NOW)},
        "failures": {Reason.AUTH: 2},
        "requests": (NOW,),
        "polling": True,
    }
    default = AccountState(Account("a"), before(days=9), timedelta(hours=9))
    for field in AccountState.__dataclass_fields__:
        if field in ("account", "next_poll_at", "interval"):
            continue
        some = 0.5 if field == "phase" else 3 if field in ("polls", "failures_in_a_row") else None
        words = "max" if field in ("plan", "config_dir") else NOW
        length = timedelta(seconds=2) if field == "poll_duration" else None
        account = replace(default, **{field: values.get(field, some or length or words)})
        back = parse_account(sent(render_account(account)))
        assert (back == account) == (field not in ("alerts", "conditions")), field


def test_nothing_private_and_no_rule_is_in_a_document() -> None:
    account = live("a", account=Account("a", token_command=("pass", "show", "hidden-place")))
    text = json.dumps(render_state(state(account)))
    assert "hidden-place" not in text
    assert "thresholds" not in text


def test_unknown_keys_are_ignored() -> None:
    whole = state(live("a", window("5h", 4, timedelta(hours=1))))
    document = sent(render_state(whole))
    for part in (document, document["accounts"][0], document["accounts"][0]["usage"]):
        part["of a newer version"] = {"x": 1}
    assert parse_state(document) == whole


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_a_strange_document_is_an_expected_error(data: st.DataObject) -> None:
    whole = state(live("a", window("5h", 4), failures={Reason.AUTH: 1}), logged_in="a")
    document = sent(render_state(whole))
    part = document
    while data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else [0]))
        if not isinstance(part[key], dict | list) or not part[key]:
            break
        part = part[key]
    key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else [0]))
    part[key] = data.draw(junk)
    with suppress(ValueError, TypeError, KeyError):
        parse_state(document)


@pytest.mark.parametrize("document", [None, 3, [], "x", {}, {"accounts": 3}])
def test_what_is_no_document_at_all_is_an_expected_error(document: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse_state(document)
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse_account(document)


def test_a_hundred_accounts_take_a_few_milliseconds() -> None:
    windows = [window(key, 40, timedelta(hours=2)) for key in ("5h", "7d", "7d_opus")]
    busy = live("a", *windows, requests=tuple(before(minutes=2 * n) for n in range(28)))
    named = {f"account-{n}@example.com": busy for n in range(100)}
    whole = State(accounts=named)
    took = min(_timed(whole) for _ in range(5))
    assert took < 0.05, "ten times what it takes here"


def _timed(whole: State) -> float:
    started = time.perf_counter()
    parse_state(sent(render_state(whole)))
    return time.perf_counter() - started


def test_a_document_is_compact() -> None:
    text = json.dumps(render_account(live("a", window("5h", 4))), separators=(",", ":"))
    assert len(text) < 500


def test_a_change_is_told_without_what_has_stayed() -> None:
    before = state(live("a"), live("b"))
    after_it = replace(
        before, active=1, accounts={**before.accounts, "b": live("b", window("5h", 42))}
    )
    change = sent(render_change(before, after_it))
    assert [account["account"]["name"] for account in change["changed"]] == ["b"]
    known = parse_state(sent(render_state(before)))
    assert parse_change(change, known) == parse_state(sent(render_state(after_it)))


@pytest.mark.parametrize("names", [(), ("a",), ("b", "a"), ("a", "b", "c"), ("a", "z")])
def test_where_accounts_come_go_or_move_all_is_told(names: tuple[str, ...]) -> None:
    before, then = state(live("a"), live("b")), state(*map(live, names))
    change = sent(render_change(before, then))
    assert change == sent(render_state(then))
    assert list(parse_change(change, before).accounts) == list(names)


def test_a_change_on_top_of_a_newer_state_ends_at_the_same() -> None:
    first, second = state(live("a"), live("b")), state(live("a", window("5h", 1)), live("b"))
    third = replace(second, accounts={**second.accounts, "b": live("b", window("5h", 2))})
    change = sent(render_change(first, third))
    for known in (first, second, third):
        mirrored = parse_state(sent(render_state(known)))
        assert parse_change(change, mirrored) == parse_state(sent(render_state(third)))


@pytest.mark.parametrize("wrong", [{"changed": 3}, {"changed": [{}]}, {"changed": []}, {}])
def test_a_strange_change_is_one_of_the_expected_errors(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse_change(wrong, state())
