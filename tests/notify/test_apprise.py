"""The Apprise channel: the real library against a real HTTP server, where it is installed."""

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.errors import ChannelError
from monitor.core.model import Secret
from monitor.notify.channels.apprise import Apprise
from monitor.system.logs import LIBRARIES
from tests.builders import NOW
from tests.notify.receiver import Receiver, delivery, hang, receiver, status
from tests.real.prometheus import free_port

ALERT = Alert(AlertKind.LOGIN, "R&D <Zoë>", "", NOW, detail="refused")

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise's own matter


@pytest.fixture(autouse=True)
def _as_the_program_has_it() -> Iterator[None]:
    """The log has none of its records, from whichever logger they come."""
    before = {name: logging.getLogger(name).level for name in LIBRARIES}
    for name, level in LIBRARIES.items():
        logging.getLogger(name).setLevel(level)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def _installed() -> None:
    pytest.importorskip("apprise", reason="needs the optional extra [apprise]")


needs_apprise = pytest.mark.usefixtures("_installed")


def url_of(server: Receiver) -> str:
    """The server as Apprise's `json://` service, with a token in the path."""
    return server.url.replace("http://", "json://") + "/hook-secret/"


def channel(*urls: str, limit: float = 30) -> Apprise:
    async def read() -> Secret:
        return Secret("\n".join(urls))

    return Apprise(read, limit=limit)


@needs_apprise
@pytest.mark.parametrize(
    ("urgency", "kind"),
    [(Urgency.LOW, "info"), (Urgency.NORMAL, "warning"), (Urgency.CRITICAL, "failure")],
)
async def test_title_body_and_urgency_arrive(urgency: Urgency, kind: str) -> None:
    async with receiver() as server:
        await channel(url_of(server)).send(*delivery(ALERT, urgency=urgency))
    document = json.loads(server.requests[0].body)
    assert document["title"] == "R&D <Zoë>: login needed"
    assert document["message"] == "Refused. Log in again: its data is stale until then."
    assert document["type"] == kind


@needs_apprise
async def test_each_line_is_a_service() -> None:
    async with receiver() as one, receiver() as other:
        await channel(url_of(one), "", url_of(other)).send(*delivery(ALERT, ALERT))
    assert (len(one.requests), len(other.requests)) == (1, 1)
    assert json.loads(one.requests[0].body)["title"] == "Claude Tracker: 2 alerts"


@needs_apprise
async def test_one_service_that_took_it_is_enough_and_the_other_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dead = f"json://127.0.0.1:{free_port()}/hook-secret"
    async with receiver() as server:
        await channel(dead, url_of(server)).send(*delivery(ALERT))
    assert len(server.requests) == 1
    assert "1 of 2 services took it" in caplog.text


@needs_apprise
async def test_a_service_that_refuses_is_a_failure_that_shows_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with receiver(status(500)) as server:
            with pytest.raises(ChannelError, match="no service of Apprise took it") as failure:
                await channel(url_of(server)).send(*delivery(ALERT))
    assert failure.value.reason == "error"
    assert "secret" not in failure.value.detail + caplog.text


@needs_apprise
@pytest.mark.parametrize(
    ("urls", "words"),
    [
        (["json://localhost", "nonsense://secret"], "URL 2 is not known to Apprise"),
        ([""], "Apprise has no URL"),
    ],
)
async def test_a_wrong_url_is_named_by_its_place(
    urls: list[str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ChannelError, match=words) as failure:
        await channel(*urls).send(*delivery(ALERT))
    assert failure.value.reason == "error"
    assert "secret" not in failure.value.detail + caplog.text


@needs_apprise
async def test_a_service_that_hangs_is_left_behind_at_the_limit_and_not_piled_up() -> None:
    async with receiver() as server:
        await channel(url_of(server)).send(*delivery(ALERT))  # the library is loaded from now on
    async with receiver(hang) as server:
        apprise = channel(url_of(server), limit=1)
        started = time.monotonic()
        with pytest.raises(ChannelError, match="took longer than 1 s") as failure:
            await apprise.send(*delivery(ALERT))
        assert failure.value.reason == "timeout"
        with pytest.raises(ChannelError, match="has still not answered"):
            await apprise.send(*delivery(ALERT))
        assert time.monotonic() - started < 3
        assert len(server.requests) == 1


@needs_apprise
async def test_a_telling_that_is_cancelled_ends_at_once() -> None:
    async with receiver(hang) as server:
        telling = asyncio.create_task(channel(url_of(server)).send(*delivery(ALERT)))
        await server.wait()
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling


async def test_a_library_that_is_still_being_loaded_is_not_loaded_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, let_go = [], threading.Event()

    class Slow(ModuleType):
        def AppriseAsset(self, **_: str) -> None:  # noqa: N802 - the library's own name
            begun.append(self)
            let_go.wait(15)
            raise RuntimeError

    monkeypatch.setitem(sys.modules, "apprise", Slow("apprise"))
    apprise = channel("json://localhost", limit=0.1)
    for words in ("took longer than 0.1 s", "has still not answered", "has still not answered"):
        with pytest.raises(ChannelError, match=words):
            await apprise.send(*delivery(ALERT))
    assert len(begun) == 1
    let_go.set()


async def test_without_the_library_the_channel_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ChannelError, match="pip install apprise") as failure:
        await channel("json://localhost").send(*delivery(ALERT))
    assert failure.value.reason == "unavailable"
