"""The simulated API: a real aiohttp server on loopback that speaks Anthropic's wire format.

It is behind `--demo`, and it is the tests' API too: logins, faults and the clock are there to be set.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from aiohttp import web

Json = dict[str, Any]


def error_body(kind: str, message: str) -> Json:
    return {"error": {"message": message, "type": kind}}


RATE_LIMITED: Final = error_body("rate_limit_error", "Rate limited. Please try again later.")
BAD_TOKEN: Final = error_body("authentication_error", "OAuth token has expired.")
BAD_SCOPE: Final = error_body(
    "permission_error", "OAuth token does not meet scope requirement user:profile"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit as the API sends it: a percentage, and an end, None while no window is open."""

    percent: float
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of one account; None is "the plan has no such limit"."""

    five_hour: Limit | None = None
    seven_day: Limit | None = None
    models: Mapping[str, Limit] = field(default_factory=dict)
    extra_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer instead of usage. `body` goes out as it is; `cut` breaks the connection in the midst of it."""

    status: int = 200
    body: bytes | Json = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


def rate_limited(retry_after: str | None = None) -> Fault:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Fault(429, RATE_LIMITED, headers)


@dataclass(slots=True)
class SimulatedAccount:
    """One login: who it is, the tokens and keys that open it, and what it answers. Meant to be changed at will.

    `answers_as_org` is the organization that answers name, where it is another one; empty names none.
    """

    email: str
    account_uuid: str
    org_uuid: str
    tokens: set[str] = field(default_factory=set)
    session_keys: set[str] = field(default_factory=set)
    org_name: str = "Organization"
    organization_type: str = "claude_max"
    rate_limit_tier: str = "default_claude_max_20x"
    limits: Callable[[datetime], Limits] = lambda _: Limits()
    fault: Callable[[datetime], Fault | None] = lambda _: None
    answers_as_org: str | None = None
    can_read_usage: bool = True


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that the simulated API got."""

    at: datetime
    path: str
    account: str | None
    user_agent: str


class SimulatedApi:
    """Serves a list of accounts on a free loopback port. An async context manager that yields the base URL."""

    def __init__(
        self, accounts: list[SimulatedAccount], now: Callable[[], datetime], port: int = 0
    ) -> None:
        self.accounts = accounts
        self.seen: list[SeenRequest] = []
        self.now = now
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> str:
        app = web.Application()
        app.on_response_prepare.append(self._tell_time)
        app.router.add_get("/api/oauth/usage", self._oauth_usage)
        app.router.add_get("/api/oauth/profile", self._profile)
        app.router.add_get("/api/organizations/{org}/usage", self._web_usage)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self.url

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def requests_of(self, email: str) -> list[SeenRequest]:
        """The requests for the usage of one account."""
        return [s for s in self.seen if s.account == email and s.path.endswith("/usage")]

    async def _tell_time(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(self.now(), usegmt=True)

    async def _oauth_usage(self, request: web.Request) -> web.StreamResponse:
        account = self._by_token(request)
        self._note(request, account)
        if not request.headers.get("User-Agent", "").startswith("claude-code/"):
            return web.json_response(RATE_LIMITED, status=429, headers={"Retry-After": "0"})
        return await self._usage(request, account)

    async def _web_usage(self, request: web.Request) -> web.StreamResponse:
        key = request.cookies.get("sessionKey")
        account = next((a for a in self.accounts if key in a.session_keys), None)
        self._note(request, account)
        if account is not None and account.org_uuid != request.match_info["org"]:
            return web.json_response(BAD_SCOPE, status=403)
        return await self._usage(request, account)

    async def _usage(
        self, request: web.Request, account: SimulatedAccount | None
    ) -> web.StreamResponse:
        if account is None:
            return web.json_response(BAD_TOKEN, status=401)
        if not account.can_read_usage:
            return web.json_response(BAD_SCOPE, status=403)
        fault = account.fault(self.now())
        if fault is not None:
            return await _faulty(request, fault)
        named = account.answers_as_org
        organization = account.org_uuid if named is None else named
        return web.json_response(
            usage_body(account.limits(self.now())),
            headers={"anthropic-organization-id": organization} if organization else {},
        )

    async def _profile(self, request: web.Request) -> web.StreamResponse:
        account = self._by_token(request)
        self._note(request, account)
        if account is None:
            return web.json_response(BAD_TOKEN, status=401)
        if not account.can_read_usage:
            return web.json_response(BAD_SCOPE, status=403)
        return web.json_response(_profile_body(account))

    def _by_token(self, request: web.Request) -> SimulatedAccount | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return next((a for a in self.accounts if token in a.tokens), None)

    def _note(self, request: web.Request, account: SimulatedAccount | None) -> None:
        email = account.email if account else None
        agent = request.headers.get("User-Agent", "")
        self.seen.append(SeenRequest(self.now(), request.path, email, agent))


async def _faulty(request: web.Request, fault: Fault) -> web.StreamResponse:
    await asyncio.sleep(fault.delay)
    if isinstance(fault.body, dict):
        return web.json_response(fault.body, status=fault.status, headers=fault.headers)
    if not fault.cut:
        return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
    response = web.StreamResponse(status=fault.status, headers=fault.headers)
    response.content_length = len(fault.body) + 100
    await response.prepare(request)
    await response.write(fault.body)
    if request.transport is not None:
        request.transport.close()
    return response


def _profile_body(account: SimulatedAccount) -> Json:
    return {
        "account": {
            "uuid": account.account_uuid,
            "email": account.email,
            "full_name": "A Person",
            "display_name": "A",
            "has_claude_max": True,
            "has_claude_pro": False,
        },
        "organization": {
            "uuid": account.org_uuid,
            "name": account.org_name,
            "organization_type": account.organization_type,
            "billing_type": "stripe_subscription",
            "rate_limit_tier": account.rate_limit_tier,
            "seat_tier": None,
        },
        "application": {"uuid": "app", "name": "Claude Code", "slug": "claude-code"},
    }


def usage_body(limits: Limits) -> Json:
    """The answer of `GET /api/oauth/usage`."""
    cents = limits.extra_cents
    rows = [
        _row("session", "session", limits.five_hour),
        _row("weekly_all", "weekly", limits.seven_day),
    ]
    for name, limit in limits.models.items():
        scope = {"model": {"id": None, "display_name": name}, "surface": None}
        rows.append(_row("weekly_scoped", "weekly", limit, scope))
    return {
        "five_hour": _flat(limits.five_hour),
        "seven_day": _flat(limits.seven_day),
        "seven_day_oauth_apps": None,
        "seven_day_opus": None,
        "seven_day_sonnet": None,
        "iguana_necktie": {"utilization": 0.9884844, "resets_at": None},
        "nimbus_quill": None,
        "extra_usage": {
            "is_enabled": cents is not None,
            "monthly_limit": None if cents is None else 5000,
            "used_credits": cents,
            "utilization": None if cents is None else cents / 50,
            "currency": "USD",
            "decimal_places": 2,
        },
        "limits": [row for row in rows if row is not None],
    }


def _flat(limit: Limit | None) -> Json | None:
    if limit is None:
        return None
    return {
        "utilization": float(limit.percent),
        "resets_at": _iso(limit.resets_at),
        "limit_dollars": None,
        "used_dollars": None,
        "remaining_dollars": None,
        "locked_reason": None,
    }


def _row(kind: str, group: str, limit: Limit | None, scope: Json | None = None) -> Json | None:
    if limit is None:
        return None
    return {
        "kind": kind,
        "group": group,
        "percent": limit.percent,
        "severity": "normal" if limit.percent < 75 else "warning",
        "resets_at": _iso(limit.resets_at),
        "scope": scope,
        "is_active": kind == "session",
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment else None
