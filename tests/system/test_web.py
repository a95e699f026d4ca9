"""What the web may do instead of answering: every error has one cause, and none of its words get through."""

import os
import ssl
import traceback
from pathlib import Path

import aiohttp
import pytest

from monitor.core.errors import Cause, describe
from monitor.system.web import BlockedError, ask, failure_of, proxy_of, session_of, trust_problem
from tests.notify.receiver import garbage, receiver, reset

TOKEN = "sk-ant-oat01-token"


URL = "https://api.example.com"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), Cause.LATE),
        (aiohttp.ServerTimeoutError(), Cause.LATE),
        (ssl.SSLCertVerificationError(), Cause.UNTRUSTED),
        (ssl.SSLError(), Cause.NO_TLS),
        (aiohttp.ServerDisconnectedError(), Cause.CUT),
        (aiohttp.ClientPayloadError(), Cause.CUT),
        (ConnectionResetError(), Cause.CUT),
        (aiohttp.InvalidURL("https://[x"), Cause.UNSENT),
        (ValueError("Newline in a header"), Cause.UNSENT),
    ],
)
def test_an_error_has_one_cause(error: Exception, expected: Cause) -> None:
    assert failure_of(error, URL).cause is expected


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"https_proxy": "proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"ALL_PROXY": "proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"ALL_PROXY": "socks5h://other", "https_proxy": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://proxy.corp:3128"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.example.com:443"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other.com"}, "http://p:1"),
    ],
)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    name_proxies(monkeypatch, variables)
    assert proxy_of(URL) == proxy


@pytest.mark.parametrize(
    ("named", "cause"),
    [
        ("socks5h://proxy.corp:1080", Cause.SOCKS),
        ("socks4://me:sesame@proxy.corp", Cause.SOCKS),
        ("http://", Cause.PROXY_ODD),
        ("ftp://proxy.corp", Cause.PROXY_ODD),
        ("http://proxy.corp:me:sesame", Cause.PROXY_ODD),
        ("http://ünïcode", Cause.PROXY_ODD),
    ],
)
async def test_a_proxy_of_another_kind_is_named_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, named: str, cause: Cause
) -> None:
    name_proxies(monkeypatch, {"ALL_PROXY": named})
    async with await session_of("test") as session:
        with pytest.raises(BlockedError) as blocked:
            await ask(session, URL, {})
    assert blocked.value.failure.cause is cause
    assert "sesame" not in describe(blocked.value.failure)


def name_proxies(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_variable_that_names_no_certificates_is_told(tmp_path: Path) -> None:
    empty, pipe = tmp_path / "ca.pem", tmp_path / "pipe"
    empty.write_text("no certificate")
    os.mkfifo(pipe)
    words = {
        "SSL_CERT_FILE names no file to be read": {"SSL_CERT_FILE": str(tmp_path / "none")},
        "NODE_EXTRA_CA_CERTS names a file without certificates": {
            "NODE_EXTRA_CA_CERTS": str(empty)
        },
        "NODE_EXTRA_CA_CERTS names no file to be read": {"NODE_EXTRA_CA_CERTS": str(pipe)},
        "SSL_CERT_DIR names no folder": {"SSL_CERT_DIR": f"{tmp_path}/x:{tmp_path}/y"},
        "": {"SSL_CERT_DIR": f"{tmp_path}/x:{tmp_path}"},
    }
    for problem, variables in words.items():
        assert trust_problem(variables) == problem


@pytest.mark.parametrize("token", [TOKEN, f"{TOKEN}\nx"])
async def test_no_word_of_a_request_is_in_what_is_raised(token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with receiver(reset, garbage) as server, await session_of("test") as session:
        for url in (server.url, server.url, f"http://[{TOKEN}", "https://nowhere.invalid"):
            with pytest.raises(BlockedError) as blocked:
                await ask(session, url, headers, post=b"")
            assert TOKEN not in "".join(traceback.format_exception(blocked.value))
            assert TOKEN not in describe(blocked.value.failure)


async def test_a_request_whose_connection_is_lost_was_sent_once() -> None:
    async with receiver(reset) as server, await session_of("test") as session:
        with pytest.raises(BlockedError) as blocked:
            await ask(session, server.url, {})
    assert (blocked.value.failure.cause, len(server.requests)) == (Cause.CUT, 1)


async def test_no_more_of_a_body_is_read_than_is_wanted() -> None:
    async with receiver() as server, await session_of("test", 10) as session:
        assert (await ask(session, server.url, {})).body == b""
        answer = await ask(session, server.url, {"X-Kind": "test"}, post=b"said", most=10)
    assert answer.status == 200
    assert [(r.body, r.headers["User-Agent"]) for r in server.requests] == [
        (b"", "test"),
        (b"said", "test"),
    ]
