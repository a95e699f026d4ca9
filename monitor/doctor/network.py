"""Checks the way to the API, this machine's clock, the running monitor and the exporter's port."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from exporters.connections import open_sockets
from exporters.headers import address, is_loopback, setting
from exporters.web_config import SiteConfig
from monitor import __version__
from monitor.api.client import Reached
from monitor.core.errors import Failure, TrackerError, explain
from monitor.core.format import duration
from monitor.doctor.report import Check, Question
from monitor.system.aio import DaemonThreads
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


def api_checks(
    url: str,
    answer: Reached | Failure | None,
    asked_at: datetime,
    platform: str,
    environ: Mapping[str, str],
) -> list[Check]:
    """Return the check of the way to the API, and that of the clock by the time that its answer has.

    `asked_at` is this machine's time halfway through the request; an `answer` of None says that the API is not asked.
    """
    if answer is None:
        skipped = CLOCK.skip("the API is not asked for the time")
        return [API.skip("api.enabled = false: no network requests"), skipped]
    if isinstance(answer, Failure):
        return [API.fail(*explain(answer)), CLOCK.skip("clock not checked")]
    host = urlsplit(url).hostname or url
    if answer.is_alien and not answer.is_challenge:
        what = "a web page" if answer.is_page else "a redirection"
        found = (
            f"something else answers in the place of {host}: {what} (HTTP {answer.status}), "
            "as the login page of a network does"
        )
        fix = (
            "open any page in a browser, and log in to the network there; "
            "else see whether a proxy, or api.url, is meant"
        )
        return [API.fail(found, fix), CLOCK.skip("clock not checked: the API sent no time")]
    way = _judge_answer(host, answer, environ)
    if answer.date is None:
        return [way, CLOCK.skip("no Date was sent")]
    ahead = asked_at - answer.date  # negative where our clock is behind; exact to a second
    if abs(ahead) <= MOST_SKEW:
        return [way, CLOCK.ok("clock OK (within 1 min)")]
    direction = "ahead of" if ahead > timedelta(0) else "behind"
    found = f"this clock is {duration(abs(ahead))} {direction} the server's"
    return [way, CLOCK.warn(found, _SET_CLOCK.get(platform, "set the clock"))]


def _judge_answer(host: str, answer: Reached, environ: Mapping[str, str]) -> Check:
    if answer.is_challenge:
        found = f"{host} wants a browser (a Cloudflare challenge): it does not trust this network"
        fix = (
            "leave the VPN or proxy, or wait; OAuth accounts meet this less often than session keys"
        )
        return API.fail(found, fix)
    if answer.status >= 500:
        return API.warn(f"{host} is having problems (HTTP {answer.status})", "wait")
    problem = trust_problem(environ)
    if problem:
        return API.warn(f"{host} answers, but {problem}", "correct the variable, or unset it")
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    through = " through a proxy" if any(map(environ.get, names)) else ""
    return API.ok(f"{host} answers{through}")


INSTANCE: Final = Question("instance", "one process polls for all others, which only watch it")

LEADER_SECS: Final = 5.0

AskLeader = Callable[[], Mapping[str, Any] | None]
"""Asks the running monitor what it is; blocks. None where none runs; raises TrackerError where one does not answer."""


async def instance_check(who: AskLeader) -> tuple[Check, Mapping[str, Any] | None]:
    """Ask the running monitor: the check, and what it says of itself. Never raises."""
    restart = "end that process, and restart it"
    try:
        answer = await DaemonThreads(LEADER_SECS).run(who)
    except TimeoutError:
        return INSTANCE.fail("the running monitor does not answer", restart), None
    except TrackerError as error:
        return INSTANCE.fail(str(error), restart), None
    except Exception as error:  # noqa: BLE001 - it must not hide what the other checks find
        words = f"this check itself has failed ({type(error).__name__})"
        return INSTANCE.fail(words, restart), None
    if answer is None:
        return INSTANCE.ok("none runs: the next `monitor tui` or `monitor serve` polls"), None
    pid, version = answer.get("pid"), answer.get("version")
    if version != __version__:
        found = f"polling: pid {pid}, version {version}, not {__version__}"
        fix = "end it and restart it: the older program is polling"
        return INSTANCE.warn(found, fix), answer
    return INSTANCE.ok(f"polling: pid {pid}, version {version}"), answer


PORT: Final = Question("port", "Prometheus and the status page find the figures there")

PORT_SECS: Final = 2.0
LOOKUP_SECS: Final = 5.0
_OURS: Final = b"server: claude-tracker"


async def port_check(
    site: SiteConfig, who: Mapping[str, Any] | None, platform: str, ask_secs: float = PORT_SECS
) -> Check:
    """Listen on the port for a moment; where another program does, ask which one it is.

    `who` is what the running monitor of these settings says of itself, None where none runs.
    """
    where = address(site.host, site.port)

    def listen() -> None:
        for listening in open_sockets(site.host, site.port):
            listening.close()

    try:
        await DaemonThreads(LOOKUP_SECS).run(listen)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", 0) != errno.EADDRINUSE or not await _is_ours(site, ask_secs):
            return blocked_port_check(site, error, platform)
    else:
        if site.port == 0:
            return PORT.ok("any free port is taken when it starts")
        return _judge_exposure(site, f"{where} is free")
    if who is None:
        found = f"another monitor has {where}: one with other settings, or of another user"
        return PORT.warn(found, _elsewhere(site.port + 1))
    refused = [str(name) for name in who.get("refused_hosts", ())]
    if refused:
        found = f"requests are refused that ask {where} by the name {', '.join(refused)}"
        return PORT.warn(found, f"if it is your scraper's: {setting(*site.hosts, *refused)}")
    return _judge_exposure(site, f"the running monitor serves on {where}")


def blocked_port_check(site: SiteConfig, error: Exception, platform: str) -> Check:
    """Say why this program cannot listen there now."""
    host, port = site.host, site.port
    where = address(host, port)
    is_unknown = isinstance(error, TimeoutError | socket.gaierror | UnicodeError)
    match errno.EADDRNOTAVAIL if is_unknown else getattr(error, "errno", 0):
        case errno.EADDRINUSE:
            is_linux = platform == "linux"
            program = (
                f"ss -ltnp 'sport = :{port}'" if is_linux else f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
            )
            fix = f"`{program}` says which; {_elsewhere(port + 1)}"
            return PORT.fail(f"another program has {where}", fix)
        case errno.EACCES | errno.EPERM:
            found = f"this user may not listen on {where}: ports below 1024 are the system's"
            return PORT.fail(found, _elsewhere(15707))
        case errno.EADDRNOTAVAIL:
            found = f"{host} is no address of this machine"
            return PORT.fail(found, 'exporter.listen = "127.0.0.1:15707"')
    return PORT.fail(f"{where} cannot be listened on", _elsewhere(port + 1))


def _elsewhere(port: int) -> str:
    other = port if port <= 65535 else port - 2
    return f'another port in the settings, exporter.listen = "127.0.0.1:{other}", or "off"'


async def _is_ours(site: SiteConfig, ask_secs: float) -> bool:
    """Ask what listens there whether it is this program, which it says even without a password."""
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


def _judge_exposure(site: SiteConfig, found: str) -> Check:
    if is_loopback(site.host) or site.web_config is not None:
        return PORT.ok(found)
    advice = (
        "exporter.web_config (TLS and a password), accounts with a label, or"
        f' exporter.listen = "127.0.0.1:{site.port}"'
    )
    return PORT.warn(f"{found}, and open to other machines: /metrics names your accounts", advice)
