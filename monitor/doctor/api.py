"""The checks of the way to the API, and of this machine's clock against the server's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.api.reach import Reached
from monitor.core.format import duration
from monitor.doctor.check import Check, Question
from monitor.system.urls import split_url
from monitor.system.web import Obstacle

API: Final = Question("api", "usage is asked for there, and nowhere else")
CLOCK: Final = Question(
    "clock", "countdowns, expiry dates and alerts compare the server's instants with this clock"
)

MOST_SKEW: Final = timedelta(seconds=60)

_SET_CLOCK: Final = {
    "linux": "`sudo timedatectl set-ntp true`",
    "darwin": "`sudo sntp -sS time.apple.com`",
    "win32": "`w32tm /resync`",
}
_IN_THE_WAY: Final = {
    Obstacle.DNS: (
        "{host} cannot be found: no network, or no DNS",
        "check the network; `getent hosts {host}` says whether the name is found",
    ),
    Obstacle.REFUSED: (
        "{host} refuses the connection: a firewall, or nothing listens there",
        "see whether api.url in the settings is meant, and what the firewall allows",
    ),
    Obstacle.NO_ROUTE: (
        "{host} cannot be reached",
        "check the network, the VPN and the firewall",
    ),
    Obstacle.CERTIFICATE: (
        "the certificate of {host} is not trusted: somebody reads along, mostly a company's proxy",
        "if that is meant: `export SSL_CERT_FILE=/path/to/the-company-ca.pem`",
    ),
    Obstacle.TLS: (
        "no TLS with {host}: what answers there speaks something else",
        "see whether api.url or $HTTPS_PROXY is meant",
    ),
    Obstacle.PROXY: (
        "the proxy of $HTTPS_PROXY, or of the system, does not let us through to {host}",
        "correct $HTTPS_PROXY, or leave the host out by `export NO_PROXY={host}`",
    ),
    Obstacle.TIMEOUT: (
        "{host} does not answer in time",
        "check the network, the VPN and the firewall; api.timeout_secs is the limit",
    ),
    Obstacle.NOT_HTTP: (
        "what answers at {host} does not speak HTTP",
        "see whether api.url in the settings is meant",
    ),
    Obstacle.CUT: (
        "{host} ended the connection before it had answered",
        "try again; if it stays, look at the proxy, the VPN and the firewall",
    ),
    Obstacle.UNSENT: (
        "no request can be made to {host}",
        "see whether api.url in the settings is meant, and $HTTPS_PROXY",
    ),
}


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What became of one request. `asked_at` and `answered_at` are this machine's own time."""

    url: str
    answer: Reached | Obstacle
    asked_at: datetime
    answered_at: datetime


def api_checks(facts: ApiFacts, platform: str, environ: Mapping[str, str]) -> list[Check]:
    """The way first; the clock is only judged where somebody told the time."""
    match facts.answer:
        case Obstacle():
            return [_blocked(facts.url, facts.answer), CLOCK.skip("nobody told the time")]
        case Reached(is_challenge=False, is_alien=True):
            return [_alien(facts.url, facts.answer), CLOCK.skip("the API's time was not told")]
        case Reached(date=None):
            return [_reached(facts.url, facts.answer, environ), CLOCK.skip("no Date was sent")]
        case Reached(date=datetime() as date):
            ours = facts.asked_at + (facts.answered_at - facts.asked_at) / 2
            return [_reached(facts.url, facts.answer, environ), _clock(ours - date, platform)]
    raise AssertionError(facts.answer)


def skipped() -> list[Check]:
    """Where the settings say that nobody is to be asked."""
    words = "api.enabled = false: nothing is asked of anybody"
    return [API.skip(words), CLOCK.skip("the API is not asked for the time")]


def _blocked(url: str, obstacle: Obstacle) -> Check:
    found, fix = (words.format(host=_host(url)) for words in _IN_THE_WAY[obstacle])
    return API.fail(found, fix)


def _alien(url: str, answer: Reached) -> Check:
    what = "a web page" if answer.is_page else "a redirection"
    found = (
        f"something else answers in the place of {_host(url)}: {what} (HTTP {answer.status}), "
        "as the login page of a network does"
    )
    fix = "open any page in a browser, and log in to the network there; else see whether a proxy, or api.url, is meant"
    return API.fail(found, fix)


def _reached(url: str, answer: Reached, environ: Mapping[str, str]) -> Check:
    host = _host(url)
    if answer.is_challenge:
        found = f"{host} wants a browser (a Cloudflare challenge): it does not trust this network"
        fix = "leave the VPN or proxy, or wait; accounts by OAuth are asked for less of this than session keys"
        return API.fail(found, fix)
    if answer.status >= 500:
        return API.warn(f"{host} has troubles of its own (HTTP {answer.status})", "wait")
    through = " through a proxy" if environ.get("HTTPS_PROXY") or environ.get("https_proxy") else ""
    return API.ok(f"{host} answers{through}")


def _clock(ahead: timedelta, platform: str) -> Check:
    """`ahead` is negative where our clock is behind; the server's time has no fractions of a second."""
    if abs(ahead) <= MOST_SKEW:
        return CLOCK.ok("it agrees with the server's to the minute")
    direction = "ahead of" if ahead > timedelta(0) else "behind"
    found = f"this clock is {duration(abs(ahead))} {direction} the server's"
    return CLOCK.warn(found, _SET_CLOCK.get(platform, "set the clock"))


def _host(url: str) -> str:
    parts = split_url(url)
    return (parts.hostname if parts else None) or url
