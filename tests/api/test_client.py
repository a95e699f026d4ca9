"""The client against a real server on loopback: what it asks, what each answer becomes, and whether it is reached."""

import asyncio
import gzip
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.api.client import ApiHosts, Client, Reached, reach
from monitor.api.wire import LONGEST_WAIT, parse_http_date, parse_retry_after
from monitor.core.errors import ApiError, Cause, Failure, Reason
from monitor.core.model import Account, AuthMethod, Credential, Secret
from monitor.demo.server import Fault, Limit, Limits, SimulatedAccount, SimulatedApi, rate_limited
from monitor.system.clock import ServerClock
from tests.builders import NOW, after
from tests.fakes import FakeClock

TOKEN = "sk-ant-oat01-client-test"
KEY = "sk-ant-sid01-client-test"
OAUTH = Credential(Secret(TOKEN))
SESSION = Credential(Secret(KEY), AuthMethod.SESSION_KEY)
ACCOUNT = Account("a@example.com", "org-1")
AGENT = "claude-code/2.1.0 (claude-tracker/0)"


@pytest.fixture
def simulated() -> SimulatedAccount:
    return SimulatedAccount(
        "a@example.com",
        "acc-1",
        "org-1",
        tokens={TOKEN},
        session_keys={KEY},
        limits=lambda _: Limits(Limit(42, after(hours=2)), Limit(18, after(days=6))),
    )


@pytest.fixture
async def api(simulated: SimulatedAccount) -> AsyncIterator[SimulatedApi]:
    server = SimulatedApi([simulated], now=lambda: NOW)
    async with server:
        yield server


def client(url: str, timeout: float = 5, agent: str = AGENT) -> Client:
    return Client(ApiHosts(url, url, timeout, agent), ServerClock(FakeClock()))


async def refused(
    url: str, credential: Credential = OAUTH, *, timeout: float = 5, agent: str = AGENT
) -> ApiError:
    async with client(url, timeout, agent) as asking:
        with pytest.raises(ApiError) as error:
            await asking.usage(ACCOUNT, credential)
    return error.value


async def test_usage_by_token(api: SimulatedApi) -> None:
    async with client(api.url) as asking:
        usage = await asking.usage(ACCOUNT, OAUTH)
    assert usage.at == NOW
    assert {w.key: w.utilization for w in usage.windows} == {"5h": 0.42, "7d": 0.18}


async def test_usage_by_session_key(api: SimulatedApi) -> None:
    async with client(api.url) as asking:
        usage = await asking.usage(ACCOUNT, SESSION)
    assert [w.key for w in usage.windows] == ["5h", "7d"]
    assert api.seen[0].path == "/api/organizations/org-1/usage"


async def test_a_hostile_organization_id_stays_within_its_path_segment(api: SimulatedApi) -> None:
    async with client(api.url) as asking:
        with pytest.raises(ApiError):
            await asking.usage(Account("a", "../oauth/usage?x="), SESSION)
    assert all("/organizations/" in seen.path for seen in api.seen)


async def test_the_profile_says_whose_token_it_is(api: SimulatedApi) -> None:
    async with client(api.url) as asking:
        profile = await asking.profile(OAUTH.secret)
    assert (profile.email, profile.identity.org_uuid) == ("a@example.com", "org-1")


async def test_an_answer_of_another_organization_is_refused(
    api: SimulatedApi, simulated: SimulatedAccount
) -> None:
    simulated.answers_as_org = "org-2"
    error = await refused(api.url)
    assert error.reason is Reason.CREDENTIALS
    assert "another organization" in str(error)


@pytest.mark.parametrize("organization", ["org-1", "org-2", None])
async def test_a_token_of_unknown_owner_is_taken_for_the_account_that_the_answer_names_alone(
    organization: str | None, api: SimulatedApi, simulated: SimulatedAccount
) -> None:
    simulated.answers_as_org = "" if organization is None else organization
    async with client(api.url) as asking:
        asked = asking.usage(ACCOUNT, replace(OAUTH, proven=False))
        if organization == ACCOUNT.org_id:
            assert (await asked).windows
        else:
            with pytest.raises(ApiError) as raised:
                await asked
            assert raised.value.reason is Reason.CREDENTIALS


async def test_a_foreign_user_agent_is_throttled_as_the_real_api_does(api: SimulatedApi) -> None:
    assert (await refused(api.url, agent="curl/8")).reason is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(Fault(401), Reason.AUTH, id="401"),
        pytest.param(Fault(403), Reason.BLOCKED, id="403"),
        pytest.param(
            Fault(403, b"", {"cf-mitigated": "challenge"}), Reason.CHALLENGE, id="challenge"
        ),
        pytest.param(rate_limited("7"), Reason.RATE_LIMITED, id="429"),
        pytest.param(Fault(500, b"oops"), Reason.SERVER, id="500"),
        pytest.param(Fault(302, b"", {"Location": "/api/oauth/profile"}), Reason.BLOCKED, id="302"),
        pytest.param(Fault(200, b"<html>"), Reason.BLOCKED, id="a web page"),
        pytest.param(
            Fault(200, {"error": {"type": "api_error"}}), Reason.SERVER, id="200 with error"
        ),
        pytest.param(Fault(200, b'{"five_hour"', cut=True), Reason.CONNECTION, id="cut off"),
        pytest.param(Fault(200, b" " * (2 << 20)), Reason.SCHEMA, id="oversized"),
        pytest.param(
            Fault(200, gzip.compress(b" " * (64 << 20)), {"Content-Encoding": "gzip"}),
            Reason.SCHEMA,
            id="a compressed bomb",
        ),
    ],
)
async def test_a_fault_has_its_reason(
    api: SimulatedApi, simulated: SimulatedAccount, fault: Fault, reason: Reason
) -> None:
    simulated.fault = lambda _: fault
    assert (await refused(api.url)).reason is reason


async def test_a_429_carries_the_servers_wish(
    api: SimulatedApi, simulated: SimulatedAccount
) -> None:
    simulated.fault = lambda _: rate_limited("3600")
    assert (await refused(api.url)).failure.retry_after == timedelta(hours=1)


async def test_a_redirection_is_not_followed_with_the_token(
    api: SimulatedApi, simulated: SimulatedAccount
) -> None:
    simulated.fault = lambda _: Fault(302, b"", {"Location": "/api/oauth/profile"})
    await refused(api.url)
    assert [seen.path for seen in api.seen] == ["/api/oauth/usage"]


async def test_a_netrc_of_the_user_neither_breaks_nor_joins_a_request(
    api: SimulatedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login me password sesame\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with client(api.url) as asking:
        assert (await asking.usage(ACCOUNT, OAUTH)).windows


async def test_a_request_goes_through_the_users_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is asked for a tunnel, so it sees the host and nothing else."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with server:
        error = await refused("https://api.example")
    assert error.reason is Reason.CONNECTION
    assert asked[0].startswith(b"CONNECT api.example:443")
    assert TOKEN.encode() not in asked[0]


async def test_a_slow_answer_is_a_timeout(api: SimulatedApi, simulated: SimulatedAccount) -> None:
    simulated.fault = lambda _: Fault(200, delay=30)
    assert (await refused(api.url, timeout=0.2)).reason is Reason.TIMEOUT


async def test_a_refused_connection() -> None:
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        port = unbound.getsockname()[1]
        error = await refused(f"http://127.0.0.1:{port}")
    assert error.reason is Reason.CONNECTION
    assert "cannot be reached" in str(error)


async def test_a_name_that_does_not_exist() -> None:
    error = await refused("http://no-such-host.invalid", timeout=20)
    assert error.reason is Reason.CONNECTION
    assert "no-such-host.invalid" in str(error)


async def raw_server(answer: bytes) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", Reason.CONNECTION),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.SERVER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", Reason.CONNECTION),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
            Reason.CONNECTION,
        ),
    ],
)
async def test_a_server_that_speaks_no_proper_http(answer: bytes, reason: Reason) -> None:
    server, url = await raw_server(answer)
    async with server:
        assert (await refused(url)).reason is reason


async def test_a_tls_handshake_with_a_plain_server_is_a_failed_connection() -> None:
    server, url = await raw_server(b"HTTP/1.1 200 OK\r\n\r\n")
    async with server:
        error = await refused(url.replace("http:", "https:"))
    assert error.reason is Reason.CONNECTION


async def test_no_exception_holds_a_token(api: SimulatedApi, simulated: SimulatedAccount) -> None:
    faults = [Fault(401), Fault(500), Fault(200, b"{", cut=True), Fault(200, TOKEN.encode())]
    for fault in faults:
        simulated.fault = lambda _, fault=fault: fault  # type: ignore[misc] # bound now, not later
        for credential in (OAUTH, SESSION, Credential(Secret(f"{TOKEN}\nx"))):
            error = await refused(api.url, credential)
            text = "".join(traceback.format_exception(error))
            assert TOKEN not in text
            assert KEY not in text


AGENT = "claude-code/2.1.0 (claude-tracker/0)"
DATE = datetime(2026, 11, 22, 12, 0, 7, tzinfo=UTC)
HEAD = b"HTTP/1.1 404 Not Found\r\nDate: Sun, 22 Nov 2026 12:00:07 GMT\r\n"


@asynccontextmanager
async def serving(answer: bytes | None, seen: list[bytes] | None = None) -> AsyncIterator[str]:
    """A host that answers with these bytes and ends; None says nothing at all."""

    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        request = await reader.read(4096)
        if seen is not None:
            seen.append(request)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, served))


async def outcome(answer: bytes | None, limit: float = 3) -> Reached | Cause | None:
    async with serving(answer) as url:
        return await reached(url, limit)


async def reached(url: str, limit: float = 3) -> Reached | Cause | None:
    answer = await reach(url, limit, AGENT)
    return answer.cause if isinstance(answer, Failure) else answer


async def test_any_answer_will_do_and_brings_the_server_s_time() -> None:
    assert await outcome(HEAD + b"Content-Length: 0\r\n\r\n") == Reached(404, DATE, False)


async def test_nothing_is_sent_that_could_be_a_token() -> None:
    seen: list[bytes] = []
    async with serving(HEAD + b"Content-Length: 0\r\n\r\n", seen) as url:
        await reach(url, 3, AGENT)
    (request,) = seen
    assert request.startswith(b"GET /api/hello HTTP/1.1\r\n") and AGENT.encode() in request
    assert b"authorization" not in request.lower() and b"cookie" not in request.lower()


@pytest.mark.parametrize(
    "answer, expected",
    [
        (b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", Reached(503, None, False)),
        (b"HTTP/1.1 200 x\r\nDate: soon\r\nContent-Length: 0\r\n\r\n", Reached(200, None, False)),
        (
            b"HTTP/1.1 403 x\r\ncf-mitigated: challenge\r\nContent-Length: 0\r\n\r\n",
            Reached(403, None, True),
        ),
        (
            b"HTTP/1.1 403 x\r\nContent-Length: 21\r\n\r\n<h1>Just a moment</h1>"[:-1],
            Reached(403, None, True),
        ),
        (
            b"HTTP/1.1 200 x\r\nContent-Type: Text/HTML; charset=x\r\nContent-Length: 2\r\n\r\nhi",
            Reached(200, None, False, is_page=True),
        ),
        (
            b"HTTP/1.1 200 x\r\nContent-Length: 17\r\n\r\n\n<!DOCTYPE html>\n",
            Reached(200, None, False, is_page=True),
        ),
        (
            b'HTTP/1.1 200 x\r\nContent-Length: 19\r\n\r\n{"message":"hello"}',
            Reached(200, None, False),
        ),
        (b"SSH-2.0-OpenSSH\r\n", Cause.NOT_HTTP),
        (b"", Cause.CUT),
    ],
)
async def test_what_an_answer_means(answer: bytes, expected: Reached | Cause) -> None:
    assert await outcome(answer) == expected


async def test_a_redirection_is_not_followed() -> None:
    async with serving(HEAD) as other:
        moved = f"HTTP/1.1 302 x\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n".encode()
        assert await outcome(moved) == Reached(302, None, False)


async def test_a_silent_host_is_a_timeout() -> None:
    assert await outcome(None, limit=0.2) is Cause.LATE


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_on_which_nobody_listens_is_refused(host: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert await reached(f"http://{host}:{port}") is Cause.UNREACHED


async def test_a_name_that_is_not_found_is_told() -> None:
    assert await reached("https://no-such-host.invalid") is Cause.NO_HOST


async def test_plain_http_where_tls_is_expected_is_told() -> None:
    async with serving(HEAD + b"\r\n") as url:
        assert await reached(url.replace("http:", "https:")) is Cause.NO_TLS


AT_NOON = "Sun, 22 Nov 2026 12:00:00 GMT"
LATER = "Sun, 22 Nov 2026 12:02:00 GMT"
FAR_AWAY = "Sun, 22 Nov 99999999999999999999 12:00:00 GMT"
FAR_EAST = "Sun, 22 Nov 2026 12:00:00 +99999999999999"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("0", None, 0),
        (" 42 ", None, 42),
        ("9" * 400, None, 86400),
        (LATER, None, 120),
        (LATER, "Sun, 22 Nov 2026 12:01:00 GMT", 60),
        (LATER, "no date", 120),
        ("Sun, 22 Nov 2027 12:02:00 GMT", None, 86400),
        ("Sun, 22 Nov 2026 11:00:00 GMT", None, 0),
        ("Sun, 22 Nov 2026 12:02:00 -0000", AT_NOON, 120),
        ("soon", None, None),
        ("-5", None, None),
        ("", None, None),
        ("²", None, None),
        ("٣", None, None),
        (FAR_AWAY, None, None),
        (FAR_EAST, None, None),
    ],
)
def test_a_wait_is_seconds_or_a_date(
    value: str | None, date: str | None, seconds: int | None
) -> None:
    headers = {"Retry-After": value, "Date": date}
    wanted = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after({k: v for k, v in headers.items() if v is not None}, NOW) == wanted


def test_a_date_says_nothing_where_nobody_knows_the_time() -> None:
    assert parse_retry_after({"Retry-After": LATER}) is None
    assert parse_retry_after({"Retry-After": LATER, "Date": AT_NOON}) == timedelta(minutes=2)


@given(st.text(), st.text())
@example("²", "")
@example(FAR_AWAY, FAR_EAST)
@example(FAR_EAST, FAR_AWAY)
def test_whatever_the_headers_say_there_is_a_wait_of_at_most_a_day_or_none(
    value: str, date: str
) -> None:
    wait = parse_retry_after({"Retry-After": value, "Date": date}, NOW)
    assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT


@pytest.mark.parametrize("text", ["", "noon", FAR_AWAY, FAR_EAST])
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_http_date(text) is None


def test_a_date_is_aware() -> None:
    assert isinstance(parse_http_date(AT_NOON), datetime)
    assert parse_http_date(AT_NOON) == parse_http_date("Sun, 22 Nov 2026 12:00:00 -0000") == NOW
