"""The desktop channel against a library that fails in each known way."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from desktop_notifier import Capability, Urgency

from monitor.core.alerts import rules
from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError
from monitor.notify.channels.desktop import Desktop, Library
from tests.builders import NOW

ALERT = Alert(AlertKind.TEST, "a", "5h", NOW)
CALM = Message("title", "a < b & c")


class FakeLibrary:
    """A desktop-notifier of which each step can be made to fail."""

    def __init__(
        self,
        capabilities: frozenset[Capability] = frozenset({Capability.TITLE}),
        *,
        allowed: bool = True,
        dispatches: bool = True,
        hangs: bool = False,
        raises: Exception | None = None,
    ) -> None:
        self.capabilities = capabilities
        self.allowed = allowed
        self.dispatches = dispatches
        self.hangs = hangs
        self.raises = raises
        self.sent: list[tuple[str, str, Urgency]] = []

    async def request_authorisation(self) -> bool:
        return self.allowed

    async def get_capabilities(self) -> frozenset[Capability]:
        if self.raises:
            raise self.raises
        if self.hangs:
            await asyncio.Event().wait()
        return self.capabilities

    async def send(
        self, title: str, message: str, urgency: Urgency, *, on_dispatched: Callable[[], Any]
    ) -> str:
        self.sent.append((title, message, urgency))
        if self.dispatches:
            on_dispatched()
        return "id"


def channel(*libraries: FakeLibrary, markup: bool = True, limit: float = 30) -> Desktop:
    """A channel that is given these libraries, one after the other."""
    fresh = iter(libraries)

    def make() -> Library:
        return next(fresh)

    return Desktop(markup=markup, limit=limit, make=make)


@pytest.mark.parametrize(
    ("said", "urgency"),
    [
        (rules.Urgency.LOW, Urgency.Low),
        (rules.Urgency.NORMAL, Urgency.Normal),
        (rules.Urgency.CRITICAL, Urgency.Critical),
    ],
)
async def test_the_daemon_is_told_how_urgent_it_is(said: rules.Urgency, urgency: Urgency) -> None:
    library = FakeLibrary()
    await channel(library).send(Message("title", "body", said), [ALERT])
    assert [sent[2] for sent in library.sent] == [urgency]


@pytest.mark.parametrize(("markup", "body"), [(True, "a &lt; b &amp; c"), (False, "a < b & c")])
async def test_the_body_is_escaped_only_where_it_is_read_as_markup(markup: bool, body: str) -> None:
    library = FakeLibrary()
    await channel(library, markup=markup).send(CALM, [ALERT])
    assert [sent[:2] for sent in library.sent] == [("title", body)]


@pytest.mark.parametrize(
    ("library", "reason", "words"),
    [
        pytest.param(
            FakeLibrary(frozenset()),
            "no_capability",
            "drop everything",
            id="macOS without a bundle",
        ),
        pytest.param(FakeLibrary(allowed=False), "denied", "not allowed", id="forbidden"),
        pytest.param(FakeLibrary(dispatches=False), "unavailable", "did not take it", id="lost"),
        pytest.param(
            FakeLibrary(raises=OSError("no\nbus")),
            "unavailable",
            r"answers \(no bus\)",
            id="no bus",
        ),
        pytest.param(
            FakeLibrary(raises=ValueError("odd")),
            "unavailable",
            "service: ValueError: odd",
            id="odd",
        ),
    ],
)
async def test_what_was_not_delivered_is_a_failure(
    library: FakeLibrary, reason: str, words: str
) -> None:
    with pytest.raises(ChannelError, match=words) as failure:
        await channel(library).send(CALM, [ALERT])
    assert failure.value.reason == reason


async def test_a_library_that_hangs_is_given_up_after_the_limit() -> None:
    with pytest.raises(ChannelError, match=r"did not answer within 0\.01 s") as failure:
        await channel(FakeLibrary(hangs=True), limit=0.01).send(CALM, [ALERT])
    assert failure.value.reason == "timeout"


async def test_a_library_that_cannot_be_set_up_is_a_failure() -> None:
    def make() -> Library:
        raise OSError("Notification platform not available")

    desktop = Desktop(markup=False, make=make)
    with pytest.raises(ChannelError, match="platform not available"):
        await desktop.send(CALM, [ALERT])


async def test_one_object_is_kept_while_it_works() -> None:
    library = FakeLibrary()
    desktop = channel(library)
    await desktop.send(CALM, [ALERT])
    await desktop.send(CALM, [ALERT])
    assert len(library.sent) == 2


@pytest.mark.parametrize(
    "broken",
    [
        FakeLibrary(frozenset()),
        FakeLibrary(dispatches=False),
        FakeLibrary(hangs=True),
        FakeLibrary(raises=KeyError("HOME")),
    ],
)
async def test_after_a_failure_a_fresh_object_is_made(broken: FakeLibrary) -> None:
    fresh = FakeLibrary()
    desktop = channel(broken, fresh, limit=0.5 if not broken.hangs else 0.01)
    with pytest.raises(ChannelError):
        await desktop.send(CALM, [ALERT])
    await desktop.send(CALM, [ALERT])
    assert len(fresh.sent) == 1


async def test_after_an_interruption_a_fresh_object_is_made() -> None:
    hanging, fresh = FakeLibrary(hangs=True), FakeLibrary()
    desktop = channel(hanging, fresh)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(desktop.send(CALM, [ALERT]), 0.01)
    await desktop.send(CALM, [ALERT])
    assert len(fresh.sent) == 1
