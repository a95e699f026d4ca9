"""The exporter's port, on real sockets: free, ours, another program's, or none of this machine's."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporters.server import Site
from monitor.doctor import Outcome
from monitor.doctor.port import Bind, PortFacts, port_check, port_facts
from monitor.settings import ExporterSettings
from tests.builders import NOW, state
from tests.real.need import unprivileged

OK, WARN, FAIL, SKIP = Outcome


@contextmanager
def listener(host: str = "127.0.0.1") -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind((host, 0))
        listening.listen()
        yield listening.getsockname()[1]


async def test_a_free_port_is_free_again_after_the_look() -> None:
    with listener() as port:
        pass
    for _ in range(2):
        assert await port_facts(ExporterSettings("127.0.0.1", port)) == PortFacts(
            "127.0.0.1", port, Bind.FREE
        )


async def test_a_port_of_another_program_that_says_nothing_is_taken() -> None:
    with listener() as port:
        facts = await port_facts(ExporterSettings("127.0.0.1", port), ask_secs=0.1)
    assert facts == PortFacts("127.0.0.1", port, Bind.TAKEN)
    check = port_check(facts, None, "linux")
    assert check.outcome is FAIL and check.found == f"another program has 127.0.0.1:{port}"
    assert check.fix is not None and f"`ss -ltnp 'sport = :{port}'`" in check.fix
    assert "exporter.listen" in check.fix


async def test_a_port_on_which_a_monitor_serves_is_ours() -> None:
    async with Site(state, lambda: NOW, "127.0.0.1", 0) as site:
        facts = await port_facts(ExporterSettings("127.0.0.1", site.port))
    assert facts is not None and facts.bind is Bind.OURS
    assert port_check(facts, {"pid": 1}, "linux").outcome is OK
    assert port_check(facts, None, "linux").outcome is WARN


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    facts = await port_facts(ExporterSettings("192.0.2.1", 15707))
    assert facts is not None and facts.bind is Bind.NO_SUCH_ADDRESS


async def test_a_host_that_nobody_knows_is_told() -> None:
    facts = await port_facts(ExporterSettings("no-such-host.invalid", 15707))
    assert facts is not None and facts.bind is Bind.UNKNOWN_HOST


async def test_nothing_is_to_be_served() -> None:
    assert await port_facts(ExporterSettings(None, None)) is None
    assert port_check(None, None, "linux").outcome is SKIP


async def test_a_port_of_the_system_is_forbidden() -> None:
    with unprivileged():
        facts = await port_facts(ExporterSettings("127.0.0.1", 1))
    assert facts is not None and facts.bind is Bind.FORBIDDEN


@pytest.mark.parametrize(
    "facts, outcome, words",
    [
        (PortFacts("::1", 9, Bind.FREE), OK, "[::1]:9 is free"),
        (PortFacts("127.0.0.1", 0, Bind.FREE), OK, "any free port"),
        (PortFacts("198.51.100.7", 9, Bind.FREE), WARN, "open to other machines"),
        (PortFacts("127.0.0.1", 9, Bind.FORBIDDEN), FAIL, "may not listen"),
        (PortFacts("192.0.2.1", 9, Bind.NO_SUCH_ADDRESS), FAIL, "no address of this machine"),
        (PortFacts("x", 9, Bind.FAILED), FAIL, "cannot be listened on"),
    ],
)
def test_what_is_said_of_a_port(facts: PortFacts, outcome: Outcome, words: str) -> None:
    check = port_check(facts, None, "darwin")
    assert (check.outcome, words in check.found) == (outcome, True)
