"""What an API, or what stands between it and us, may answer; and clocks that disagree with ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from monitor.demo.server import Fault as Answer
from monitor.demo.server import Limits, usage_body
from tools.faults.world import Fault, Inject, Seen, World

PAGE: Final = b"<!DOCTYPE html><title>Sign in to the network</title>"
MANY: Final = 2 << 20


def answering(status: int = 200, body: bytes | dict[str, Any] = b"", **more: Any) -> Inject:
    """The first account's usage is answered so."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        headers = {"anthropic-organization-id": world.first.org_uuid} | more.pop("headers", {})
        world.first.fault = lambda _: Answer(status, body, headers, **more)
        yield
        world.first.fault = lambda _: None

    return inject


def failing(reason: str) -> Seen:
    return lambda world: world.reason() == reason


def polled(world: World) -> bool:
    """The answer has come, and is no failure."""
    return len(world.many.api.requests_of(world.first.email)) > 1 and world.reason() is None


def error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _usage(**changes: Any) -> Inject:
    """The figures of before, but for these fields."""

    @contextmanager
    def inject(world: World) -> Iterator[None]:
        body = dict(usage_body(world.first.limits(world.many.api.now()))) | changes
        with answering(200, body)(world):
            yield

    return inject


def _off(hours: float) -> Callable[[World], None]:
    """The API's clock is another one from the start, and so is all that it says of times."""

    @contextmanager
    def moved(world: World) -> Iterator[None]:
        clock, step = world.many.api.now, timedelta(hours=hours)
        kept = [(account, account.limits) for account in world.many.api.accounts]
        world.many.api.now = lambda: clock() + step
        for account, limits in kept:
            account.limits = _moved(limits, step)
        yield
        world.many.api.now = clock
        for account, limits in kept:
            account.limits = limits

    return lambda world: world.begun.enter_context(moved(world))


@contextmanager
def _set_right(world: World) -> Iterator[None]:
    with world.begun:
        yield


def _moved(limits: Callable[[datetime], Limits], step: timedelta) -> Callable[[datetime], Limits]:
    def moved(now: datetime) -> Limits:
        five, seven = limits(now).five_hour, limits(now).seven_day
        assert five and five.resets_at and seven and seven.resets_at
        return Limits(
            replace(five, resets_at=five.resets_at + step),
            replace(seven, resets_at=seven.resets_at + step),
        )

    return moved


def _polled_so(reason: str, *rows: tuple[str, int, bytes | dict[str, Any]]) -> list[Fault]:
    return [
        Fault(
            "API", name, f"HTTP {status}", f"`{reason}`", answering(status, body), failing(reason)
        )
        for name, status, body in rows
    ]


FAULTS: Final = (
    *_polled_so(
        "server",
        ("an error of the server", 500, error("api_error", "Internal server error")),
        ("the API is overloaded", 529, error("overloaded_error", "Overloaded")),
        ("an error without a body", 503, b""),
        ("an unknown status", 418, error("teapot_error", "no")),
    ),
    *_polled_so(
        "schema",
        ("an empty answer", 200, b""),
        ("an answer cut off in the midst", 200, b'{"five_hour": {"utiliza'),
        ("a list in place of an object", 200, b"[1, 2]"),
        ("brackets a hundred thousand deep", 200, b"[" * 100_000),
        ("every limit null", 200, {"five_hour": None, "seven_day": None, "limits": []}),
        ("no limit at all", 200, {"extra_usage": None}),
        ("numbers that are none", 200, {"five_hour": {"utilization": "many", "resets_at": None}}),
        ("a number beyond any", 200, b'{"five_hour": {"utilization": 1e308, "resets_at": null}}'),
        ("not a number", 200, b'{"five_hour": {"utilization": NaN, "resets_at": null}}'),
        ("bytes that are no text", 200, b'{"five_hour": "\xff\xfe"}'),
        ("an answer of two mebibytes", 200, b'{"a": "' + b"x" * MANY + b'"}'),
    ),
    *_polled_so(
        "blocked",
        ("a login page of the network", 200, PAGE),
        ("a block page of a proxy", 403, PAGE),
        ("a proxy that wants a login", 407, b""),
        ("not available for legal reasons", 451, PAGE),
    ),
    *_polled_so(
        "auth",
        ("a refused token", 401, error("authentication_error", "OAuth token has expired.")),
        ("a revoked token", 403, error("permission_error", "OAuth token has been revoked.")),
    ),
    *_polled_so(
        "scope",
        ("a token without the scope", 403, error("permission_error", "needs scope user:profile")),
    ),
    *_polled_so(
        "refused",
        ("a disabled organization", 403, error("permission_error", "organization has been disabled")),
        ("a country that is not allowed", 403, error("permission_error", "unsupported_country")),
    ),
    Fault(
        "API", "a browser challenge", "HTTP 403 with cf-mitigated", "`challenge`",
        answering(403, PAGE, headers={"cf-mitigated": "challenge"}), failing("challenge"),
    ),
    Fault(
        "API", "a redirect", "HTTP 302", "`blocked`",
        answering(302, b"", headers={"Location": "https://login.example.com/"}), failing("blocked"),
    ),
    Fault(
        "API", "a connection that ends within the answer", "cut after some bytes", "`connection`",
        answering(200, b'{"five', cut=True), failing("connection"),
    ),
    Fault(
        "API", "no answer in time", "an answer after 6 s, of a limit of 3", "`timeout`",
        answering(200, b"{}", delay=6), failing("timeout"),
    ),
    Fault(
        "API", "usage of another organization", "another `anthropic-organization-id`", "`credentials`",
        answering(200, b"{}", headers={"anthropic-organization-id": "org-of-others"}),
        failing("credentials"),
    ),
    Fault(
        "API", "a body that is not compressed as it says", "`Content-Encoding: gzip`", "a failure",
        answering(200, b"no gzip", headers={"Content-Encoding": "gzip"}),
        lambda world: world.reason() is not None,
    ),
    Fault(
        "API", "one limit null beside others", "a null week", "the other figure stays",
        _usage(seven_day=None), polled,
    ),
    Fault(
        "API", "a reset that is no time", "`resets_at` is a word", "the figure stays",
        _usage(seven_day={"utilization": 5, "resets_at": "soon"}), polled,
    ),
    Fault(
        "API", "limits of unknown names", "30 rows of odd names", "the known figure stays",
        _usage(limits=[{"kind": f"novel_{n}", "percent": n, "group": "☃"} for n in range(30)]), polled,
    ),
    Fault(
        "clock", "the API is three hours behind us", "its `Date`", "figures by its time",
        _set_right, starts=_off(-3),
    ),
    Fault(
        "clock", "the API is three hours ahead of us", "its `Date`", "figures by its time",
        _set_right, starts=_off(3),
    ),
)  # fmt: skip
