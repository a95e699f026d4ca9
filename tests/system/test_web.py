"""What the web may do instead of answering: every failure is one obstacle, and none of its words get through."""

import ssl
import traceback

import aiohttp
import pytest

from monitor.api import client
from monitor.notify.channels import http
from monitor.system.web import BlockedError, Obstacle, ask, obstacle, session_of
from tests.notify.receiver import garbage, receiver, reset

TOKEN = "sk-ant-oat01-token"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), Obstacle.TIMEOUT),
        (aiohttp.ServerTimeoutError(), Obstacle.TIMEOUT),
        (ssl.SSLCertVerificationError(), Obstacle.CERTIFICATE),
        (ssl.SSLError(), Obstacle.TLS),
        (aiohttp.ServerDisconnectedError(), Obstacle.CUT),
        (aiohttp.ClientPayloadError(), Obstacle.CUT),
        (ConnectionResetError(), Obstacle.CUT),
        (aiohttp.InvalidURL("https://[x"), Obstacle.UNSENT),
        (ValueError("Newline in a header"), Obstacle.UNSENT),
    ],
)
def test_an_error_is_one_obstacle(error: Exception, expected: Obstacle) -> None:
    assert obstacle(error) is expected


@pytest.mark.parametrize("words", [client._WORDS, http._BLOCKED])
def test_who_asks_has_words_for_every_obstacle(words: dict[Obstacle, object]) -> None:
    assert words.keys() == set(Obstacle)


@pytest.mark.parametrize("token", [TOKEN, f"{TOKEN}\nx"])
async def test_no_word_of_a_request_is_in_what_is_raised(token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with receiver(reset, garbage) as server, session_of("test") as session:
        for url in (server.url, server.url, f"http://[{TOKEN}", "https://nowhere.invalid"):
            with pytest.raises(BlockedError) as blocked:
                await ask(session, url, headers, post=b"")
            assert TOKEN not in "".join(traceback.format_exception(blocked.value))
            assert TOKEN not in blocked.value.host


async def test_a_request_whose_connection_is_lost_was_sent_once() -> None:
    async with receiver(reset) as server, session_of("test") as session:
        with pytest.raises(BlockedError) as blocked:
            await ask(session, server.url, {})
    assert (blocked.value.obstacle, len(server.requests)) == (Obstacle.CUT, 1)


async def test_no_more_of_a_body_is_read_than_is_wanted() -> None:
    async with receiver() as server, session_of("test", 10) as session:
        assert (await ask(session, server.url, {})).body == b""
        answer = await ask(session, server.url, {"X-Kind": "test"}, post=b"said", most=10)
    assert answer.status == 200
    assert [(r.body, r.headers["User-Agent"]) for r in server.requests] == [
        (b"", "test"),
        (b"said", "test"),
    ]
