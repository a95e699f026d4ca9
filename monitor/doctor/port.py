"""The check of the exporter's port: free, taken by a monitor, or by another program."""

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from monitor.doctor.check import Check, Question
from monitor.settings import ExporterSettings
from monitor.system.threads import DaemonThreads
from monitor.system.urls import is_loopback

PORT: Final = Question("port", "Prometheus and the landing page find the figures there")

ASK_SECS: Final = 2.0
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
    host: str
    port: int
    bind: Bind


async def port_facts(exporter: ExporterSettings, ask_secs: float = ASK_SECS) -> PortFacts | None:
    """Listens for a moment; where somebody else does, asks who it is. None where nothing is to be served."""
    host, port = exporter.host, exporter.port
    if host is None or port is None:
        return None
    try:
        bind = await DaemonThreads(LOOKUP_SECS).run(lambda: _tried(host, port))
    except TimeoutError:
        bind = Bind.UNKNOWN_HOST
    if bind is Bind.TAKEN and await _is_ours(host, port, ask_secs):
        bind = Bind.OURS
    return PortFacts(host, port, bind)


def _tried(host: str, port: int) -> Bind:
    """As the server itself listens: on every address that the name has."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return Bind.UNKNOWN_HOST
    try:
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            _listen(family, kind, protocol, address)
    except OSError as error:
        return _BINDS.get(error.errno or 0, Bind.FAILED)
    return Bind.FREE


def _listen(family: int, kind: int, protocol: int, address: Any) -> None:
    with socket.socket(family, kind, protocol) as listening:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(1)


_BINDS: Final = {
    errno.EADDRINUSE: Bind.TAKEN,
    errno.EACCES: Bind.FORBIDDEN,
    errno.EPERM: Bind.FORBIDDEN,
    errno.EADDRNOTAVAIL: Bind.NO_SUCH_ADDRESS,
}


async def _is_ours(host: str, port: int, ask_secs: float) -> bool:
    """Whether what listens there says that it is this program."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is connected to
    request = f"GET /-/healthy HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n".encode()
    try:
        async with asyncio.timeout(ask_secs):
            reader, writer = await asyncio.open_connection(reachable, port)
            try:
                writer.write(request)
                answer = await reader.read(4096)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return _OURS in answer.lower()


def port_check(facts: PortFacts | None, who: Mapping[str, Any] | None, platform: str) -> Check:
    """`who` is the running instance of these settings, if there is one."""
    if facts is None:
        return PORT.skip('exporter.listen = "off": nothing is served')
    address = f"[{facts.host}]:{facts.port}" if ":" in facts.host else f"{facts.host}:{facts.port}"
    match facts.bind:
        case Bind.FREE:
            return _free(facts, address)
        case Bind.OURS if who is not None:
            return PORT.ok(f"the running monitor serves on {address}")
        case Bind.OURS:
            found = f"another monitor has {address}: one with other settings, or of another user"
            return PORT.warn(found, _elsewhere(facts.port))
        case Bind.TAKEN:
            return PORT.fail(
                f"another program has {address}",
                f"{_culprit(facts.port, platform)}; {_elsewhere(facts.port)}",
            )
        case Bind.FORBIDDEN:
            found = f"this user may not listen on {address}: ports below 1024 are the system's"
            return PORT.fail(found, _elsewhere(15706))
        case Bind.NO_SUCH_ADDRESS | Bind.UNKNOWN_HOST:
            found = f"{facts.host} is no address of this machine"
            return PORT.fail(found, 'exporter.listen = "127.0.0.1:15707"')
    return PORT.fail(f"{address} cannot be listened on", _elsewhere(facts.port))


def _free(facts: PortFacts, address: str) -> Check:
    if facts.port == 0:
        return PORT.ok("any free port is taken when it starts")
    if not is_loopback(facts.host):
        found = f"{address} is free, and open to other machines: /metrics names your accounts"
        return PORT.warn(
            found, f'exporter.listen = "127.0.0.1:{facts.port}", or give accounts a label'
        )
    return PORT.ok(f"{address} is free")


def _elsewhere(port: int) -> str:
    other = port + 1 if port < 65535 else port - 1
    return f'another port in the settings, exporter.listen = "127.0.0.1:{other}", or "off"'


def _culprit(port: int, platform: str) -> str:
    program = "ss -ltnp 'sport = :{}'" if platform == "linux" else "lsof -nP -iTCP:{} -sTCP:LISTEN"
    return f"`{program.format(port)}` says which"
