"""What is said of the way to the API, and of the clock."""

from datetime import timedelta

import pytest

from monitor.api.reach import Reached, reach
from monitor.demo.server import SimulatedApi
from monitor.doctor import Outcome
from monitor.doctor.api import ApiFacts, api_checks
from monitor.system.web import Obstacle
from tests.builders import NOW, after
from tests.doctor.factories import ALONE, Machine

OK, WARN, FAIL, SKIP = Outcome

URL = "https://api.anthropic.com"


def facts(answer: Reached | Obstacle) -> ApiFacts:
    return ApiFacts(URL, answer, NOW, after(seconds=2))


@pytest.mark.parametrize("obstacle", Obstacle)
def test_every_obstacle_has_words_and_a_remedy_of_its_own(obstacle: Obstacle) -> None:
    way, clock = api_checks(facts(obstacle), "linux", {})
    assert (way.outcome, clock.outcome) == (FAIL, SKIP)
    assert "api.anthropic.com" in way.found
    others = [api_checks(facts(o), "linux", {})[0].found for o in Obstacle if o is not obstacle]
    assert way.found not in others
    assert way.fix is not None and "{" not in way.found + way.fix


@pytest.mark.parametrize(
    "server_is, outcome, words",
    [
        (timedelta(0), OK, "agrees"),
        (timedelta(seconds=60), OK, "agrees"),
        (timedelta(seconds=-61), WARN, "this clock is 1m 02s ahead of the server's"),
        (timedelta(hours=2), WARN, "this clock is 1h 59m behind the server's"),
    ],
)
def test_the_clock_is_judged_by_the_server_s(
    server_is: timedelta, outcome: Outcome, words: str
) -> None:
    _, clock = api_checks(facts(Reached(404, NOW + server_is, False)), "linux", {})
    assert (clock.outcome, words in clock.found) == (outcome, True), clock.found
    assert clock.fix == ("`sudo timedatectl set-ntp true`" if outcome is WARN else None)


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
    way, _ = api_checks(facts(answer), "linux", {})
    assert (way.outcome, words in way.found) == (outcome, True)


def test_the_clock_of_a_login_page_is_not_the_server_s() -> None:
    _, clock = api_checks(facts(Reached(200, NOW - timedelta(days=9), False, True)), "linux", {})
    assert clock.outcome is SKIP


def test_a_proxy_is_mentioned_without_its_address() -> None:
    environ = {"HTTPS_PROXY": "http://u:word@proxy.example:1"}
    way, _ = api_checks(facts(Reached(404, NOW, False)), "linux", environ)
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
