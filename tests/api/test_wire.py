import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.api import wire
from monitor.core.errors import ApiError, Reason
from monitor.core.limits import MOST_WINDOWS
from monitor.core.model import AuthMethod, Identity, plan_word
from tests.builders import NOW

SAMPLES = sorted(p.parent for p in (Path(__file__).parents[1] / "samples").glob("*/body.json"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_a_recorded_answer_gives_its_windows(sample: Path) -> None:
    usage = wire.parse_usage((sample / "body.json").read_bytes(), NOW)
    found = {
        w.key: [pytest.approx(w.utilization), w.resets_at and w.resets_at.isoformat()]
        for w in usage.windows
    }
    assert found == json.loads((sample / "expected.json").read_text())


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 8


def parsed(**answer: Any) -> Any:
    return wire.parse_usage(json.dumps(answer).encode(), NOW)


def limit(percent: object, resets_at: object = None) -> dict[str, object]:
    return {"utilization": percent, "resets_at": resets_at}


def test_one_is_one_percent_and_is_never_taken_for_a_fraction() -> None:
    assert parsed(five_hour=limit(1.0)).window("5h").utilization == 0.01


def test_more_than_a_hundred_percent_is_kept() -> None:
    assert parsed(five_hour=limit(105)).window("5h").utilization == 1.05


def test_extra_usage_is_in_whole_units_of_its_currency() -> None:
    money = parsed(
        five_hour=None,
        extra_usage={
            "is_enabled": True,
            "monthly_limit": 5000,
            "used_credits": 1240.0,
            "currency": "EUR",
        },
    ).extra_usage
    assert (money.used, money.limit, money.currency) == (Decimal("12.4"), Decimal("50"), "EUR")


def test_a_locked_window_keeps_the_reason() -> None:
    flat = {**limit(3.0), "locked_reason": "seat_removed"}
    row = {"kind": "session", "percent": 3, "resets_at": None}
    assert parsed(five_hour=flat, limits=[row]).window("5h").locked_reason == "seat_removed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.SCHEMA),
        (b'{"five_hour": {"utiliz', Reason.SCHEMA),
        (b"<!DOCTYPE html><title>Log in to Hotel Wi-Fi</title>", Reason.BLOCKED),
        (b"\xef\xbb\xbf\n<html><body>Blocked</body></html>", Reason.BLOCKED),
        (b"[]", Reason.SCHEMA),
        (b"null", Reason.SCHEMA),
        (b"{}", Reason.SCHEMA),
        (b'{"hello": "world"}', Reason.SCHEMA),
        (b"[" * 100_000, Reason.SCHEMA),
        (b'{"error": {"type": "rate_limit_error", "message": "x"}}', Reason.RATE_LIMITED),
        (b'{"error": {"type": "authentication_error"}}', Reason.AUTH),
        (b'{"error": {"type": "permission_error", "message": "scope user:profile"}}', Reason.SCOPE),
        (b'{"error": {"type": "permission_error"}}', Reason.REFUSED),
        (b'{"error": {"type": "overloaded_error"}}', Reason.SERVER),
        (b'{"error": {"type": ["odd"]}}', Reason.SCHEMA),
        (b'{"five_hour": "full"}', Reason.SCHEMA),
        (b'{"five_hour": {"utilization": true}}', Reason.SCHEMA),
        (b'{"five_hour": {"utilization": NaN}}', Reason.SCHEMA),
        (b'{"five_hour": {"utilization": -1}}', Reason.SCHEMA),
        (b'{"five_hour": {"utilization": 1e308}}', Reason.SCHEMA),
        (b'{"five_hour": null, "limits": ["session"]}', Reason.SCHEMA),
        (b'{"five_hour": null, "limits": "none"}', Reason.SCHEMA),
    ],
)
def test_an_answer_that_is_no_usage_is_an_error_and_never_zero(body: bytes, reason: Reason) -> None:
    with pytest.raises(ApiError) as error:
        wire.parse_usage(body, NOW)
    assert error.value.reason is reason
    assert "\n" not in str(error.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(
    ["five_hour", "seven_day", "limits", "extra_usage", "error", "utilization", "resets_at", "kind"]
)
answers = st.dictionaries(
    keys,
    st.dictionaries(keys, json_values) | st.lists(st.dictionaries(keys, json_values)) | json_values,
)


@given(answers)
def test_any_json_is_usage_or_an_api_error(answer: object) -> None:
    try:
        usage = wire.parse_usage(json.dumps(answer).encode(), NOW)
    except ApiError:
        return
    assert all(window.utilization >= 0 for window in usage.windows)


@given(st.binary(max_size=64))
def test_any_bytes_are_usage_or_an_api_error(body: bytes) -> None:
    with pytest.raises(ApiError):
        wire.parse_usage(body, NOW)


@given(st.floats(-1.9, 1.9))
def test_the_wobble_of_a_reset_does_not_show(seconds: float) -> None:
    meant = datetime(2026, 11, 22, 14, 10, tzinfo=UTC)
    wire_text = (meant + timedelta(seconds=seconds)).isoformat()
    assert parsed(five_hour=limit(5, wire_text)).window("5h").resets_at == meant


@pytest.mark.parametrize(
    "amount", ["1e9999999", "1e999990", "-1e9999999", "1e-9999999", "NaN", "Infinity", 1e308, "x"]
)
def test_an_amount_that_nobody_could_owe_is_none_or_nothing(amount: object) -> None:
    extra = {"is_enabled": True, "used_credits": amount, "monthly_limit": 5000}
    money = parsed(five_hour=limit(5), extra_usage=extra).extra_usage
    assert money is not None and money.limit == 50
    assert money.used is None or f"{money.used:.2f}" == "0.00"


def test_an_answer_of_thousands_of_limits_is_cut() -> None:
    rows = [{"kind": "session", "percent": 7, "resets_at": None}]
    for number in range(5000):
        scope = {"model": {"display_name": f"Model {number}"}}
        rows.append({"kind": "weekly_scoped", "percent": 1, "resets_at": None, "scope": scope})
    usage = parsed(limits=rows)
    assert len(usage.windows) == MOST_WINDOWS
    assert usage.window("5h") is not None
    assert usage.left_out == (f"{5001 - MOST_WINDOWS} more limits",)


def money(used: object, limit: object, **more: object) -> dict[str, object]:
    return {"is_enabled": True, "used_credits": used, "monthly_limit": limit, **more}


def test_money_is_never_merged_with_a_limit_of_its_name() -> None:
    row = {"percent": 7, "scope": {"label": "Extra"}}
    usage = parsed(extra_usage=money(1, 2), limits=[row])
    assert [(w.key, w.utilization) for w in usage.windows] == [("extra", 0.5), ("extra_2", 0.07)]


def test_an_answer_of_odd_limits_with_money_is_not_refused() -> None:
    usage = parsed(five_hour=limit("x"), extra_usage=money(1, 2))
    assert [w.key for w in usage.windows] == ["extra"]
    assert usage.left_out == ("5h: utilization is no number",)


PROFILE: dict[str, Any] = {
    "account": {"uuid": "a-1", "email": "user@example.com"},
    "organization": {
        "uuid": "o-1",
        "name": "Org",
        "organization_type": "claude_max",
        "rate_limit_tier": "default_claude_max_20x",
    },
}


def test_a_profile_says_whose_token_it_is() -> None:
    profile = wire.parse_profile(json.dumps(PROFILE).encode())
    assert profile.identity == Identity("a-1", "o-1")
    assert (profile.email, profile.organization_name) == ("user@example.com", "Org")
    assert profile.plan == "max_20x"


@pytest.mark.parametrize("missing", ["account", "organization"])
def test_a_profile_without_an_identity_is_an_error(missing: str) -> None:
    answer = {**PROFILE, missing: {}}
    with pytest.raises(ApiError, match=missing):
        wire.parse_profile(json.dumps(answer).encode())


@pytest.mark.parametrize(("block", "key"), [("account", "email"), ("organization", "uuid")])
def test_a_profile_of_absurd_length_is_none(block: str, key: str) -> None:
    answer = {**PROFILE, block: {**PROFILE[block], key: "x" * 255}}
    with pytest.raises(ApiError, match=key):
        wire.parse_profile(json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("kind", "tier", "plan"),
    [
        ("claude_max", "default_claude_max_20x", "max_20x"),
        ("claude_max", "default_claude_max_5x", "max_5x"),
        ("claude_pro", "default_claude_ai", "pro"),
        ("claude_team", "default_claude_max_5x", "team"),
        ("claude_enterprise", "default_claude_zero", "enterprise"),
        (None, "default_claude_max_20x", "max_20x"),
        (None, "default_claude_ai", "pro"),
        ("claude_max", "v2_default_claude_max_20x", "max_20x"),
        ("max", "default_claude_max_5x", "max_5x"),
        ("team", "default_claude_max_5x", "team"),
        ("Claude_Pro", None, "pro"),
        (["max"], 7, None),
        (None, None, None),
    ],
)
def test_a_plan_has_a_short_word(kind: str | None, tier: str | None, plan: str | None) -> None:
    assert plan_word(kind, tier) == plan


PERMISSION = b'{"error": {"type": "permission_error", "message": "user:profile"}}'


def said(message: object, kind: object = "permission_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


PAGE = b"<!DOCTYPE html><html><head><title>Access &amp; Denied\n- Corp</title></head></html>"
SCOPE = "OAuth token does not meet scope requirement user:profile"
DISABLED = "This organization has been disabled."


@given(
    st.integers(300, 599), st.binary(max_size=40) | answers.map(lambda a: json.dumps(a).encode())
)
def test_any_refusal_is_one_line(status: int, body: bytes) -> None:
    assert "\n" not in str(wire.refusal(status, {}, body, NOW))


@pytest.mark.parametrize("status", [401, 403])
def test_a_session_key_is_not_blamed_for_its_organization_or_its_network(status: int) -> None:
    disabled = wire.refusal(status, {}, said(DISABLED), NOW, AuthMethod.SESSION_KEY)
    page = wire.refusal(status, {}, PAGE, NOW, AuthMethod.SESSION_KEY)
    assert (disabled.reason, page.reason) == (Reason.REFUSED, Reason.BLOCKED)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_session_key_needs_a_new_key(status: int) -> None:
    error = wire.refusal(status, {}, PERMISSION, NOW, AuthMethod.SESSION_KEY)
    assert error.reason is Reason.AUTH
    assert "session key" in str(error)


def test_a_refusal_may_say_when_to_come_back() -> None:
    assert wire.refusal(429, {"Retry-After": "42"}, b"", NOW).failure.retry_after == timedelta(
        seconds=42
    )
    assert wire.refusal(429, {"Retry-After": "²"}, b"", NOW).failure.retry_after is None
