"""Which of Claude Code's items the Keychain has, by name alone: `dump-keychain` without `-d` prints no secret."""

import asyncio
import re
from typing import Final

from monitor.core.errors import CredentialError
from monitor.credentials.keychain import SERVICE
from monitor.credentials.security import Security
from monitor.system.clock import Clock

EVERY_SECS: Final = 600.0
MAX_BYTES: Final = 64 * 1024 * 1024

_ITEM: Final = re.compile(
    rb'^\s*"svce"<blob>="(' + re.escape(SERVICE).encode() + rb'(?:-[0-9a-f]{8})?)"\s*$',
    re.MULTILINE,
)


class KeychainList:
    """The services of Claude Code's items; asked for at most every ten minutes, since it can hang (macOS 26)."""

    def __init__(self, security: Security, clock: Clock) -> None:
        self._security = security
        self._clock = clock
        self._turn = asyncio.Lock()
        self._ask_at: float | None = None
        self._services: tuple[str, ...] = ()

    async def services(self) -> tuple[str, ...]:
        """Sorted; those of the last time where it is too early to ask, or where no answer came."""
        async with self._turn:
            now = self._clock.monotonic()
            if self._ask_at is None or now >= self._ask_at:
                self._ask_at = now + EVERY_SECS
                await self._ask()
            return self._services

    async def _ask(self) -> None:
        try:
            code, output = await self._security.ask("dump-keychain", max_bytes=MAX_BYTES)
        except CredentialError:
            return
        if code == 0:
            self._services = parse_services(output)


def parse_services(output: bytes) -> tuple[str, ...]:
    """The services in what `security dump-keychain` prints."""
    return tuple(sorted({found.decode() for found in _ITEM.findall(output)}))
