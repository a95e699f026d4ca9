"""The way to the API, this machine's clock, and the exporter's port, judged from facts and tried on real sockets."""

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.api.client import Reached, reach
from monitor.core.errors import NEVER_CONNECTED, Cause, Failure, Reason
from monitor.demo.server import SimulatedApi
from monitor.doctor.network import api_checks, blocked_port_check, port_check
from monitor.doctor.report import Check, Outcome
from tests.builders import NOW, after, state
from tests.doctor.factories import ALONE, Machine, advice
from tests.real.need import unprivileged
from tests.real.tls import self_signed

OK, WARN, FAIL, SKIP = Outcome

URL = "https://api.anthropic.com"


def judged(answer: Reached | Failure, environ: Mapping[str, str] | None = None) -> list[Check]:
    return api_checks(URL, answer, after(seconds=1), "linux", environ or {})


@pytest.mark.parametrize("cause", sorted(NEVER_CONNECTED))
def test_each_obstacle_has_a_remedy_of_its_own(cause: Cause) -> None:
    def found(cause: Cause) -> str:
        failure = Failure(Reason.CONNECTION, cause, name="api.anthropic.com", detail="HTTP 403")
        way, clock = judged(failure)
        assert (way.outcome, clock.outcome) == (FAIL, SKIP)
        assert "api.anthropic.com" in way.found
        assert advice(way) and "{" not in way.found + advice(way)
        return way.found

    assert found(cause) not in map(found, NEVER_CONNECTED - {cause})


def test_a_variable_without_certificates_is_told_where_the_api_answers() -> None:
    way, _ = judged(Reached(404, NOW, False), {"SSL_CERT_FILE": "/none"})
    assert way.outcome is WARN and "SSL_CERT_FILE names no file to be read" in way.found


@pytest.mark.parametrize(
    "server_is, outcome, words",
    [
        (timedelta(0), OK, "clock OK"),
        (timedelta(seconds=60), OK, "clock OK"),
        (timedelta(seconds=-61), WARN, "this clock is 1m 02s ahead of the server's"),
        (timedelta(hours=2), WARN, "this clock is 1h 59m behind the server's"),
    ],
)
def test_the_clock_is_judged_by_the_server_s(
    server_is: timedelta, outcome: Outcome, words: str
) -> None:
    _, clock = judged(Reached(404, NOW + server_is, False))
    assert (clock.outcome, words in clock.found) == (outcome, True), clock.found
    assert advice(clock) == ("`sudo timedatectl set-ntp true`" if outcome is WARN else "")


@pytest.mark.parametrize(
    "answer, outcome, words",
    [
        (Reached(404, NOW, False), OK, "answers"),
        (Reached(503, NOW, False), WARN, "HTTP 503"),
        (Reached(403, NOW, True), FAIL, "a Cloudflare challenge"),
        (Reached(403, NOW, True, is_page=True), FAIL, "a Cloudflare challenge"),
        (Reached(200, NOW, False, is_page=True), FAIL, "in the place of api.anthropic.com: a web"),
        (Reached(302, NOW, False), FAIL, "a redirection (HTTP 302)"),
        (Reached(502, NOW, False, is_page=True), WARN, "HTTP 502"),
    ],
)
def test_what_is_said_of_an_answer(answer: Reached, outcome: Outcome, words: str) -> None:
    way, _ = judged(answer)
    assert (way.outcome, words in way.found) == (outcome, True)


def test_the_clock_of_a_login_page_is_not_the_server_s() -> None:
    _, clock = judged(Reached(200, NOW - timedelta(days=9), False, True))
    assert clock.outcome is SKIP


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_is_mentioned_without_its_address(name: str) -> None:
    environ = {name: "http://u:word@proxy.example:1"}
    way, _ = judged(Reached(404, NOW, False), environ)
    assert way.found == "api.anthropic.com answers through a proxy"


async def test_one_request_reaches_the_api_and_carries_no_token(machine: Machine) -> None:
    machine.login()
    machine.set(reach=reach)
    async with SimulatedApi([], now=lambda: NOW) as url:
        machine.config.write_text(f"[api]\nurl = '{url}'\n[exporter]\nlisten = 'off'\n")
        (way,) = await machine.answers("api")
    assert way.outcome is OK and "127.0.0.1" in way.found


async def test_nobody_is_asked_where_the_settings_forbid_it(machine: Machine) -> None:
    machine.settings(ALONE)
    assert (await machine.answer("api")).outcome is SKIP
    assert (await machine.answer("clock")).outcome is SKIP


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
        check = await port_check(SiteConfig("127.0.0.1", port), None, "linux")
        assert (check.outcome, check.found) == (OK, f"127.0.0.1:{port} is free")


@pytest.mark.parametrize(
    "site, outcome, words",
    [
        (SiteConfig("0.0.0.0"), WARN, "is free, and open to other machines"),  # noqa: S104
        (SiteConfig("", web_config=Path("w")), OK, " is free"),
    ],
)
async def test_who_may_ask_at_a_free_port(site: SiteConfig, outcome: Outcome, words: str) -> None:
    with listener() as port:
        pass
    check = await port_check(replace(site, port=port), None, "linux")
    assert (check.outcome, words in check.found) == (outcome, True)


async def test_any_port_is_free() -> None:
    check = await port_check(SiteConfig("127.0.0.1", 0), None, "linux")
    assert (check.outcome, "any free port" in check.found) == (OK, True)


async def test_a_port_of_another_program_that_says_nothing_is_taken() -> None:
    with listener() as port:
        check = await port_check(SiteConfig("127.0.0.1", port), None, "linux", ask_secs=0.1)
    assert check.outcome is FAIL and check.found == f"another program has 127.0.0.1:{port}"
    assert f"`ss -ltnp 'sport = :{port}'`" in advice(check)
    assert f"127.0.0.1:{port + 1}" in advice(check)


async def test_a_port_on_which_a_monitor_serves_is_ours_or_another_user_s() -> None:
    async with Site(state, lambda: NOW, SiteConfig()) as site:
        config = SiteConfig("127.0.0.1", site.port)
        assert (await port_check(config, {"pid": 1}, "linux")).outcome is OK
        assert (await port_check(config, None, "linux")).outcome is WARN


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_of_another_machine_cannot_be_listened_on(host: str) -> None:
    check = await port_check(SiteConfig(host, 15707), None, "linux")
    assert (check.outcome, check.found) == (FAIL, f"{host} is no address of this machine")


async def test_nothing_is_to_be_served(machine: Machine) -> None:
    machine.settings("")
    check = await machine.answer("port")
    assert (check.outcome, check.found) == (SKIP, 'exporter.listen = "off": nothing is served')


async def test_a_port_of_the_system_is_forbidden() -> None:
    with unprivileged():
        check = await port_check(SiteConfig("127.0.0.1", 1), None, "linux")
    assert (check.outcome, "may not listen" in check.found) == (FAIL, True)


def test_another_obstacle_is_told_with_another_port() -> None:
    check = blocked_port_check(SiteConfig("::1", 65535), OSError(errno.EIO, ""), "darwin")
    assert (check.outcome, check.found) == (FAIL, "[::1]:65535 cannot be listened on")
    assert "127.0.0.1:65534" in advice(check)


async def test_a_monitor_that_speaks_tls_and_wants_a_password_is_ours(tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    hashed = "$2b$04$abcdefghijklmnopqrstuuPp7HPfoAs8I2dCQCQ/fW7zEJv8I8C8e"
    (tmp_path / "web.yml").write_text(
        f"tls_server_config: {{cert_file: {tls.cert}, key_file: {tls.key}}}\n"
        f"basic_auth_users: {{ann: {hashed}}}\n"
    )
    config = SiteConfig(web_config=tmp_path / "web.yml")
    async with Site(state, lambda: NOW, config) as site:
        check = await port_check(replace(config, port=site.port), {"pid": 1}, "linux")
    assert check.outcome is OK and "the running monitor serves" in check.found


async def test_names_that_were_refused_are_named_with_the_setting() -> None:
    who = {"pid": 1, "refused_hosts": ["host.docker.internal"]}
    async with Site(state, lambda: NOW, SiteConfig()) as site:
        config = SiteConfig("127.0.0.1", site.port, ("box.lan",))
        check = await port_check(config, who, "linux")
    assert check.outcome is WARN
    assert check.found.endswith("by the name host.docker.internal")
    assert advice(check) == (
        'if it is your scraper\'s: exporter.hosts = ["box.lan", "host.docker.internal"]'
    )


@pytest.mark.parametrize(
    ("exporter", "words"),
    [
        ('listen = ":15707"', "open to other machines"),
        ('web_config = "missing.yml"', "missing.yml: cannot be read"),
    ],
)
async def test_what_the_exporter_refuses_to_start_by_is_told(
    machine: Machine, exporter: str, words: str
) -> None:
    machine.config.write_text(f"[api]\nenabled = false\n[exporter]\n{exporter}\n")
    check = await machine.answer("port")
    assert check.outcome is FAIL and words in check.found
