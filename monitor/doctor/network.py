"""The checks of the way to the API, of this machine's clock, of the running monitor and of the exporter's port."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from exporters.connections import open_sockets
from exporters.headers import address, is_loopback, setting
from exporters.web_config import SiteConfig
from monitor import __version__
from monitor.api.client import Reached
from monitor.core.errors import Failure, TrackerError, explain
from monitor.core.format import duration
from monitor.doctor.report import Check, Question
from monitor.system.aio import DaemonThreads
from monitor.system.urls import split_url
from monitor.system.web import trust_problem

API: Final = Question("api", "usage is requested there, and nowhere else")
CLOCK: Final = Question(
    "clock", "countdowns, expiry dates and alerts compare the server's instants with this clock"
)

MOST_SKEW: Final = timedelta(seconds=60)

_SET_CLOCK: Final = {
    "linux": "`sudo timedatectl set-ntp true`",
    "darwin": "`sudo sntp -sS time.apple.com`",
}


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What became of one request. `asked_at` and `answered_at` are this machine's own time."""

    url: str
    answer: Reached | Failure
    asked_at: datetime
    answered_at: datetime


def api_checks(facts: ApiFacts, platform: str, environ: Mapping[str, str]) -> list[Check]:
    """The way first; the clock is only judged where somebody told the time."""
    match facts.answer:
        case Failure():
            return [API.fail(*explain(facts.answer)), CLOCK.skip("clock not checked")]
        case Reached(is_challenge=False, is_alien=True):
            return [
                _alien(facts.url, facts.answer),
                CLOCK.skip("clock not checked: the API sent no time"),
            ]
        case Reached(date=None):
            return [_reached(facts.url, facts.answer, environ), CLOCK.skip("no Date was sent")]
        case Reached(date=datetime() as date):
            ours = facts.asked_at + (facts.answered_at - facts.asked_at) / 2
            return [_reached(facts.url, facts.answer, environ), _clock(ours - date, platform)]
    raise AssertionError(facts.answer)


def api_skipped() -> list[Check]:
    """Where the settings say that nobody is to be asked."""
    words = "api.enabled = false: no network requests"
    return [API.skip(words), CLOCK.skip("the API is not asked for the time")]


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
        fix = (
            "leave the VPN or proxy, or wait; OAuth accounts meet this less often than session keys"
        )
        return API.fail(found, fix)
    if answer.status >= 500:
        return API.warn(f"{host} has troubles of its own (HTTP {answer.status})", "wait")
    problem = trust_problem(environ)
    if problem:
        return API.warn(f"{host} answers, but {problem}", "correct the variable, or unset it")
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    through = " through a proxy" if any(map(environ.get, names)) else ""
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


INSTANCE: Final = Question("instance", "one process polls for all others, which only watch it")

LEADER_SECS: Final = 5.0

Who = Callable[[], Mapping[str, Any] | None]
"""Asks the running instance what it is; blocks. None where none runs; raises TrackerError where one does not answer."""


async def instance_check(who: Who) -> tuple[Check, Mapping[str, Any] | None]:
    """Ask the running instance: the check, and what it says of itself. Never raises."""
    restart = "end that process, and restart it"
    try:
        answer = await DaemonThreads(LEADER_SECS).run(who)
    except TimeoutError:
        return INSTANCE.fail("the running monitor does not answer", restart), None
    except TrackerError as error:
        return INSTANCE.fail(str(error).partition("\n")[0], restart), None
    except Exception as error:  # noqa: BLE001 - it must not hide what the other checks find
        words = f"this check itself has failed ({type(error).__name__})"
        return INSTANCE.fail(words, restart), None
    if answer is None:
        return INSTANCE.ok("none runs: the next `monitor tui` or `monitor serve` polls"), None
    pid, version = answer.get("pid"), answer.get("version")
    if version != __version__:
        found = f"process {pid} polls, and is of version {version}, not {__version__}"
        fix = "end it and restart it: the older program is polling"
        return INSTANCE.warn(found, fix), answer
    return INSTANCE.ok(f"process {pid} polls, version {version}"), answer


PORT: Final = Question("port", "Prometheus and the status page find the figures there")

PORT_SECS: Final = 2.0
LOOKUP_SECS: Final = 5.0
_OURS: Final = b"server: claude-tracker"


class Bind(StrEnum):
    """What became of the attempt to listen."""

    FREE = "free"
    OURS = "ours"
    TAKEN = "taken"
    FORBIDDEN = "forbidden"
    NO_SUCH_ADDRESS = "no_such_address"
    UNKNOWN_HOST = "unknown_host"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PortFacts:
    site: SiteConfig
    bind: Bind


async def port_facts(site: SiteConfig | None, ask_secs: float = PORT_SECS) -> PortFacts | None:
    """Listens for a moment; where somebody else does, asks who it is. None where nothing is to be served."""
    if site is None:
        return None
    try:
        bind = await DaemonThreads(LOOKUP_SECS).run(lambda: _tried(site))
    except TimeoutError:
        bind = Bind.UNKNOWN_HOST
    if bind is Bind.TAKEN and await _is_ours(site, ask_secs):
        bind = Bind.OURS
    return PortFacts(site, bind)


def _tried(site: SiteConfig) -> Bind:
    try:
        for listening in open_sockets(site.host, site.port):
            listening.close()
    except (socket.gaierror, UnicodeError):
        return Bind.UNKNOWN_HOST
    except OSError as error:
        return _BINDS.get(error.errno or 0, Bind.FAILED)
    return Bind.FREE


_BINDS: Final = {
    errno.EADDRINUSE: Bind.TAKEN,
    errno.EACCES: Bind.FORBIDDEN,
    errno.EPERM: Bind.FORBIDDEN,
    errno.EADDRNOTAVAIL: Bind.NO_SUCH_ADDRESS,
}


async def _is_ours(site: SiteConfig, ask_secs: float) -> bool:
    """Whether what listens there says that it is this program; it says so also to who has no password."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(site.host, site.host)  # noqa: S104 - it is connected to
    request = f"GET /-/healthy HTTP/1.0\r\nHost: localhost:{site.port}\r\n\r\n".encode()
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # nothing secret is sent
    for context in (tls, None) if site.web_config else (None,):
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ask_secs):
                reader, writer = await asyncio.open_connection(reachable, site.port, ssl=context)
                try:
                    writer.write(request)
                    answer = await reader.read(4096)
                finally:
                    writer.close()
            if _OURS in answer.lower():
                return True
    return False


def port_check(facts: PortFacts | None, who: Mapping[str, Any] | None, platform: str) -> Check:
    """`who` is the running instance of these settings, if there is one."""
    if facts is None:
        return PORT.skip('exporter.listen = "off": nothing is served')
    host, port = facts.site.host, facts.site.port
    where = address(host, port)
    match facts.bind:
        case Bind.FREE:
            return _free(facts.site, where)
        case Bind.OURS if who is not None:
            return _serving(facts.site, where, who)
        case Bind.OURS:
            found = f"another monitor has {where}: one with other settings, or of another user"
            return PORT.warn(found, _elsewhere(port))
        case Bind.TAKEN:
            return PORT.fail(
                f"another program has {where}",
                f"{_culprit(port, platform)}; {_elsewhere(port)}",
            )
        case Bind.FORBIDDEN:
            found = f"this user may not listen on {where}: ports below 1024 are the system's"
            return PORT.fail(found, _elsewhere(15706))
        case Bind.NO_SUCH_ADDRESS | Bind.UNKNOWN_HOST:
            found = f"{host} is no address of this machine"
            return PORT.fail(found, 'exporter.listen = "127.0.0.1:15707"')
    return PORT.fail(f"{where} cannot be listened on", _elsewhere(port))


def _free(site: SiteConfig, where: str) -> Check:
    if site.port == 0:
        return PORT.ok("any free port is taken when it starts")
    if not is_loopback(site.host) and site.web_config is None:
        return _open_to_others(site, f"{where} is free")
    return PORT.ok(f"{where} is free")


def _serving(site: SiteConfig, where: str, who: Mapping[str, Any]) -> Check:
    refused = [str(name) for name in who.get("refused_hosts", ())]
    if refused:
        found = f"requests are refused that ask {where} by the name {', '.join(refused)}"
        return PORT.warn(found, f"if it is your scraper's: {setting(*site.hosts, *refused)}")
    if not is_loopback(site.host) and site.web_config is None:
        return _open_to_others(site, f"the running monitor serves on {where}")
    return PORT.ok(f"the running monitor serves on {where}")


def _open_to_others(site: SiteConfig, found: str) -> Check:
    advice = (
        "exporter.web_config (TLS and a password), accounts with a label, or"
        f' exporter.listen = "127.0.0.1:{site.port}"'
    )
    return PORT.warn(f"{found}, and open to other machines: /metrics names your accounts", advice)


def _elsewhere(port: int) -> str:
    other = port + 1 if port < 65535 else port - 1
    return f'another port in the settings, exporter.listen = "127.0.0.1:{other}", or "off"'


def _culprit(port: int, platform: str) -> str:
    program = "ss -ltnp 'sport = :{}'" if platform == "linux" else "lsof -nP -iTCP:{} -sTCP:LISTEN"
    return f"`{program.format(port)}` says which"
