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


def minor(amount: object, exponent: object = 2, currency: object = "USD") -> dict[str, object]:
    return {"amount_minor": amount, "currency": currency, "exponent": exponent}


MONEY: dict[str, tuple[dict[str, Any], float | None]] = {
    "of a limit": ({"extra_usage": money(99500, 100000)}, 0.995),
    "nothing yet": ({"extra_usage": money(0, 100000)}, 0),
    "more than the limit": ({"extra_usage": money(15000, 10000)}, 1.5),
    "as text": ({"extra_usage": money("500", "1000")}, 0.5),
    "of no fraction": ({"extra_usage": money(5, 10, decimal_places=0, currency="JPY")}, 0.5),
    "no amount, but a utilization": ({"extra_usage": money(None, 1000, utilization=42.0)}, 0.42),
    "no amount at all": ({"extra_usage": money(None, 1000, utilization=None)}, None),
    "without a limit": ({"extra_usage": money(20847, None)}, None),
    "a limit of nothing": ({"extra_usage": money(0, 0)}, None),
    "a limit of next to nothing": ({"extra_usage": money(5, "1e-9999999")}, None),
    "switched off": ({"extra_usage": {**money(5, 10), "is_enabled": False}}, None),
    "null": ({"extra_usage": None}, None),
    "null in every place": ({"extra_usage": dict.fromkeys(money(1, 2))}, None),
    "a refund": ({"extra_usage": money(-5, 10)}, 0),
    "spend alone": ({"spend": {"used": minor(500), "limit": minor(1000)}}, 0.5),
    "spend of other exponents": ({"spend": {"used": minor(5, 0), "limit": minor(1000)}}, 0.5),
    "spend without a limit": ({"spend": {"used": minor(500), "limit": None, "percent": 0}}, None),
    "spend of nulls": ({"spend": {"used": None, "limit": None}}, None),
    "spend as text": ({"spend": "much"}, None),
    "both": ({"extra_usage": money(1, 4), "spend": {"used": minor(1), "limit": minor(2)}}, 0.25),
}


@pytest.mark.parametrize(("answer", "ratio"), MONEY.values(), ids=list(MONEY))
def test_money_with_a_limit_is_a_window(answer: dict[str, Any], ratio: float | None) -> None:
    window = parsed(five_hour=limit(5), **answer).window("extra")
    assert (window and window.utilization) == (ratio if ratio is None else pytest.approx(ratio))


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


def refused(status: int, body: bytes = b"", **headers: str) -> ApiError:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return wire.refusal(status, named, body, NOW)


PERMISSION = b'{"error": {"type": "permission_error", "message": "user:profile"}}'


def said(message: object, kind: object = "permission_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def authentication(message: str) -> bytes:
    return said(message, "authentication_error")


PAGE = b"<!DOCTYPE html><html><head><title>Access &amp; Denied\n- Corp</title></head></html>"
SCOPE = "OAuth token does not meet scope requirement user:profile"
DISABLED = "This organization has been disabled."
NOT_ALLOWED = "OAuth authentication is currently not allowed for this organization."
REGION = "Claude is not available in your region."
ALLOWLIST = "Your IP address is not on the allow list of this organization."

REFUSALS: dict[str, tuple[ApiError, Reason, str]] = {
    # A login.
    "401 empty": (refused(401), Reason.AUTH, "expired"),
    "401 expired": (
        refused(401, authentication("OAuth token has expired.")),
        Reason.AUTH,
        "revoked",
    ),
    "401 invalid": (refused(401, authentication("Invalid bearer token")), Reason.AUTH, "revoked"),
    "401 in plain text": (refused(401, b"401: Unauthorized"), Reason.AUTH, "revoked"),
    "401 in other JSON": (refused(401, b'{"error": "unauthorized"}'), Reason.AUTH, "revoked"),
    "403 revoked": (refused(403, said("OAuth token has been revoked.")), Reason.AUTH, "revoked"),
    "403 authentication": (
        refused(403, authentication("Nobody knows you")),
        Reason.AUTH,
        "revoked",
    ),
    # Its scope.
    "403 scope": (refused(403, said(SCOPE)), Reason.SCOPE, "setup-token"),
    "403 scope in short": (refused(403, PERMISSION), Reason.SCOPE, "setup-token"),
    "401 scope": (refused(401, said(SCOPE)), Reason.SCOPE, "setup-token"),
    # What is not allowed, whoever logs in.
    "401 not allowed": (refused(401, authentication(NOT_ALLOWED)), Reason.REFUSED, NOT_ALLOWED),
    "403 not allowed": (refused(403, said(NOT_ALLOWED)), Reason.REFUSED, NOT_ALLOWED),
    "403 disabled": (refused(403, said(DISABLED)), Reason.REFUSED, DISABLED),
    "400 disabled": (
        refused(400, said(DISABLED, "invalid_request_error")),
        Reason.REFUSED,
        DISABLED,
    ),
    "403 region": (refused(403, said(REGION, "forbidden")), Reason.REFUSED, REGION),
    "451 region": (refused(451, said(REGION)), Reason.REFUSED, REGION),
    "403 address": (refused(403, said(ALLOWLIST)), Reason.REFUSED, ALLOWLIST),
    "403 otherwise": (refused(403, said("Ask somebody")), Reason.REFUSED, "HTTP 403: Ask somebody"),
    "403 without a message": (refused(403, said(None)), Reason.REFUSED, "HTTP 403: permission"),
    "403 without a type": (
        refused(403, said("No seat", None)),
        Reason.REFUSED,
        "HTTP 403: No seat",
    ),
    # What is not the API's.
    "403 empty": (refused(403), Reason.BLOCKED, "HTTP 403"),
    "403 page": (refused(403, PAGE), Reason.BLOCKED, "“Access & Denied - Corp”"),
    "403 in plain text": (refused(403, b"Forbidden by policy"), Reason.BLOCKED, "HTTP 403"),
    "403 in other JSON": (refused(403, b'{"message": "Forbidden"}'), Reason.BLOCKED, "HTTP 403"),
    "401 page": (refused(401, PAGE), Reason.BLOCKED, "HTTP 401"),
    "401 of a proxy": (refused(401, WWW_Authenticate="NTLM"), Reason.BLOCKED, "HTTP 401"),
    "407": (refused(407), Reason.BLOCKED, "the proxy wants a login"),
    "407 page": (refused(407, PAGE), Reason.BLOCKED, "Access & Denied"),
    "451 page": (refused(451, PAGE), Reason.BLOCKED, "HTTP 451"),
    "451 empty": (refused(451), Reason.BLOCKED, "HTTP 451"),
    "404 page": (refused(404, PAGE), Reason.BLOCKED, "HTTP 404"),
    "404 by its type": (refused(404, b"Not here", Content_Type="text/html"), Reason.BLOCKED, "404"),
    "511": (refused(511), Reason.BLOCKED, "HTTP 511"),
    "a redirect": (
        refused(302, Location="https://login.corp.example/x?token=y"),
        Reason.BLOCKED,
        "HTTP 302, a redirect to login.corp.example",
    ),
    "a redirect to nowhere": (refused(302, Location="https://[x"), Reason.BLOCKED, "a redirect)"),
    "403 challenge": (refused(403, cf_mitigated="challenge"), Reason.CHALLENGE, "may well be good"),
    "503 challenge": (refused(503, cf_mitigated="challenge"), Reason.CHALLENGE, "Cloudflare"),
    "403 challenge by its page": (
        refused(403, b"<title>Just a moment...</title>"),
        Reason.CHALLENGE,
        "Cloudflare",
    ),
    # All the rest, with its status and words.
    "429": (refused(429), Reason.RATE_LIMITED, "rate limited"),
    "429 page": (refused(429, PAGE), Reason.RATE_LIMITED, "rate limited"),
    "400 rate limit": (refused(400, said("x", "rate_limit_error")), Reason.RATE_LIMITED, "limited"),
    "400": (refused(400, said("No such beta", "x")), Reason.SERVER, "HTTP 400: No such beta"),
    "404": (
        refused(404, said("Not found", "not_found_error")),
        Reason.SERVER,
        "HTTP 404: Not found",
    ),
    "404 without words": (refused(404), Reason.SERVER, "HTTP 404"),
    "418": (refused(418), Reason.SERVER, "HTTP 418"),
    "500": (refused(500), Reason.SERVER, "HTTP 500"),
    "502 page": (refused(502, PAGE), Reason.SERVER, "HTTP 502"),
    "529": (refused(529, said("Overloaded", "overloaded_error")), Reason.SERVER, "529: Overloaded"),
    # Words of a server are foreign.
    "an escape sequence": (refused(403, said("\x1b[2JNo\nseat")), Reason.REFUSED, "403: No seat"),
    "a secret": (
        refused(404, said("no sk-ant-oat01-abc", "not_found")),
        Reason.SERVER,
        "404: not_found",
    ),
    "a broken secret": (
        refused(404, said("s\u200bk-ant-x", "not_found")),
        Reason.SERVER,
        "not_found",
    ),
    "odd types": (refused(403, said(["x"], {"y": 1})), Reason.BLOCKED, "HTTP 403"),
}


@pytest.mark.parametrize(("error", "reason", "words"), REFUSALS.values(), ids=list(REFUSALS))
def test_a_refusal_has_its_reason(error: ApiError, reason: Reason, words: str) -> None:
    assert error.reason is reason
    assert words in str(error)
    assert "\n" not in str(error)
    assert "sk-ant" not in str(error)
    assert len(error.failure.detail) < 200
    is_of_login = reason in (Reason.AUTH, Reason.SCOPE)
    assert is_of_login or "claude`" not in str(error), "no login is advised where none helps"


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
