"""Claude Code's login in the macOS Keychain, read by `/usr/bin/security` alone. Asks; writes nothing, ever.

Claude Code writes with `security` too, and each write takes every other program's permission away: a look from
within this process would ask the user anew after each renewal, about every eight hours. See
anthropics/claude-code#94491. What never asks is a look at the attributes without the secret; hence `stamp`.
"""

import asyncio
import contextlib
import getpass
import hashlib
import math
import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from monitor.core.errors import Cause, CredentialError, NotLoggedInError, Source
from monitor.core.model import DEAD_BEFORE, Login
from monitor.credentials.programs import run
from monitor.credentials.tokens import parse_login
from monitor.system.clock import Clock, SystemClock

SECURITY: Final = "/usr/bin/security"
LIMIT_SECS: Final = 5.0
MAX_BYTES: Final = 4 * 1024 * 1024

LIST_SECS: Final = 600.0
LIST_BYTES: Final = 64 * 1024 * 1024

SERVICE: Final = "Claude Code-credentials"
QUIET_SECS: Final = 60.0

ALL_SECS: Final = 60.0
"""So often all items that may exist are looked for, while none of the known ones has a good login."""

_ABSENT: Final = 44
_CAUSES: Final = {
    36: Cause.LOCKED,
    37: Cause.NO_KEYRING,
    50: Cause.NO_KEYRING,
    51: Cause.DENIED,
    128: Cause.CANCELLED,
}
"""By exit code, which is the last byte of macOS's own error number."""

_PASSED_OVER: Final = (Cause.ABSENT, Cause.MCP_ONLY, Cause.DAMAGED, Cause.TOO_LARGE)
"""After one of these failures of an item, another may have the login."""

_CONTROLS: Final = "".join(map(chr, range(32)))

Item = tuple[str, str | None]
"""A service, and the account that Claude Code files it under, or None for the first item of whatever account."""

_ITEM: Final = re.compile(
    rb'^\s*"svce"<blob>="(' + re.escape(SERVICE).encode() + rb'(?:-[0-9a-f]{8})?)"\s*$',
    re.MULTILINE,
)


class Security:
    """The program that knows the Keychain.

    All wait for their turn: where a question hangs, no others pile up behind it, and its service is then left alone
    for a minute.
    """

    def __init__(
        self,
        program: str = SECURITY,
        clock: Clock | None = None,
        limit_secs: float = LIMIT_SECS,
    ) -> None:
        self.clock = clock or SystemClock()
        self._program = program
        self._limit_secs = limit_secs
        self._turn = asyncio.Lock()
        self._quiet_until: dict[str, float] = {}
        self._services: tuple[str, ...] = ()
        self._list_at = -math.inf

    async def find(self, item: Item, *flags: str) -> bytes | None:
        """Read the item's attributes, or with `-w` its secret; None where there is no such item.

        Only for a secret somebody may be asked. Raises CredentialError.
        """
        service, account = item
        whose = () if account is None else ("-a", account)
        async with self._turn:
            if self.clock.monotonic() < self._quiet_until.get(service, -math.inf):
                raise CredentialError.of(Cause.SILENT, Source.KEYCHAIN)
            try:
                code, output = await self.ask(
                    "find-generic-password", *whose, *flags, "-s", service
                )
            except CredentialError as error:
                if error.cause is Cause.SILENT:
                    self._quiet_until[service] = self.clock.monotonic() + QUIET_SECS
                raise
        if code not in (0, _ABSENT):
            cause = _CAUSES.get(code, Cause.FAILED)
            raise CredentialError.of(cause, Source.KEYCHAIN, detail=str(code))
        return output if code == 0 else None

    async def services(self) -> tuple[str, ...]:
        """The services of Claude Code's items, sorted; those of the last time where no answer comes.

        They are asked for at most every ten minutes, since that can hang (macOS 26).
        """
        async with self._turn:
            if self.clock.monotonic() >= self._list_at:
                self._list_at = self.clock.monotonic() + LIST_SECS
                with contextlib.suppress(CredentialError):
                    code, output = await self.ask("dump-keychain", max_bytes=LIST_BYTES)
                    self._services = parse_services(output) if code == 0 else self._services
            return self._services

    async def ask(self, *arguments: str, max_bytes: int = MAX_BYTES) -> tuple[int, bytes]:
        """Return exit code and output. Raises CredentialError where it cannot be run, or was killed for its silence."""
        argv, limit = (self._program, *arguments), self._limit_secs
        return await run(Source.KEYCHAIN, argv[0], *argv, limit_secs=limit, max_bytes=max_bytes)


def parse_services(output: bytes) -> tuple[str, ...]:
    """Parse the services in the output of `security dump-keychain`."""
    return tuple(sorted({found.decode() for found in _ITEM.findall(output)}))


def services(folder: str) -> tuple[str, ...]:
    """Return the names that the folder's item may have, best first: they hash the folder as spelled for Claude Code."""
    return tuple(dict.fromkeys(map(_service, _spellings(folder))))


def spelling_of(service: str, folders: Iterable[str]) -> str | None:
    """Return how one of these folders is spelled in the name of the item; None where the item is of none of them."""
    spellings = (spelling for folder in folders for spelling in _spellings(folder))
    return next((spelling for spelling in spellings if _service(spelling) == service), None)


def _spellings(folder: str) -> tuple[str, ...]:
    bare = folder.rstrip("/")
    return (folder, bare, f"{bare}/") if bare else (folder,)


def _service(spelling: str) -> str:
    if not spelling:
        return SERVICE
    normal = unicodedata.normalize("NFC", spelling).encode(errors="surrogateescape")
    return f"{SERVICE}-{hashlib.sha256(normal).hexdigest()[:8]}"


def account_name(environ: Mapping[str, str]) -> str:
    """Return the account that Claude Code files its item under."""
    name = environ.get("USER", "")
    if not name:
        with contextlib.suppress(OSError, KeyError, ImportError):
            name = getpass.getuser()
    return name if re.fullmatch(r"[a-zA-Z0-9._-]+", name) else "claude-code-user"


class Keychain:
    """Claude Code's login in the Keychain, under one of these services.

    There may be several: each spelling of the folder has an item of its own, and another program may have filed one
    under no account, or another one.
    """

    def __init__(self, services: Sequence[str], account: str, security: Security) -> None:
        self._services = services
        self._account = account
        self._security = security
        self._clock = security.clock
        self._dates: dict[Item, str] = {}
        self._look_for_all_at = 0.0
        self._found: Item | None = None
        self._ends: datetime | None = None
        self._ended: datetime | None = None

    async def login(self) -> Login:
        """Return the first login that has not ended, else of all that there are the one that ended last.

        No secret is asked for any more after a failure that another one would share. Raises NotLoggedInError, or a
        CredentialError that says why the Keychain cannot be used.
        """
        if not self._has_good_login():
            try:
                self._dates = await self._all_dates()
            except CredentialError:
                if not self._dates:
                    raise
        logins: dict[Item, Login] = {}
        failures: list[CredentialError] = []
        for item in sorted(self._dates, key=self._order):
            try:
                secret = await self._security.find(item, "-w")
                if secret is not None:
                    where = f"the Keychain item {item[0]!r}"
                    logins[item] = parse_login(decode_secret(secret), where)
                    if not logins[item].credential.is_dead(self._clock.now()):
                        break
            except CredentialError as error:
                failures.append(error)
                if error.cause not in _PASSED_OVER:
                    break
        if not logins:
            # That an item could not be read says more than that another one is empty.
            unread = [f for f in failures if not isinstance(f, NotLoggedInError)]
            if unread:
                raise unread[-1]
            self._found = None
            raise [NotLoggedInError.of(Cause.ABSENT, Source.KEYCHAIN), *failures][-1]
        self._found = max(logins, key=lambda item: logins[item].credential.freshness)
        self._ends = logins[self._found].credential.expires_at
        return logins[self._found]

    def _order(self, item: Item) -> tuple[bool, int, bool]:
        """Sort first the item that had the login the last time: mostly no other is then asked for."""
        service, account = item
        return item != self._found, self._services.index(service), account != self._account

    async def stamp(self) -> Hashable:
        """Return a value that differs after each change. While the Keychain does not answer, it stays the same.

        While a login is good, nobody needs the other items. Once it has ended each may hold a better one, even one
        that has been there for long: so that it ended is a change too, where there are others.
        """
        with contextlib.suppress(CredentialError):
            await self._refresh_dates()
        return frozenset(self._dates.items()), self._ended if len(self._dates) > 1 else None

    async def _refresh_dates(self) -> None:
        if self._found is not None and self._has_good_login():
            found = await self._dates_of([self._found])
            self._dates = self._dates | found if found else {}
            return
        now = self._clock.monotonic()
        if self._dates and now < self._look_for_all_at:
            self._dates = await self._dates_of(list(self._dates))
        else:
            self._look_for_all_at = now + ALL_SECS
            self._dates = await self._all_dates()
        self._ended = self._ends

    def _has_good_login(self) -> bool:
        """Say whether an item is known that held a login which has not ended."""
        ends = self._ends
        is_known = self._found is not None and self._found in self._dates
        return is_known and (ends is None or ends - self._clock.now() > DEAD_BEFORE)

    async def _all_dates(self) -> dict[Item, str]:
        """Ask for the items of all services: first for any account's, then, if there is another's, for our own."""
        dates: dict[Item, str] = {}
        for service in self._services:
            found = await self._dates_of([(service, None)])
            ours = (service, self._account)
            dates |= found if not found or ours in found else found | await self._dates_of([ours])
        return dates

    async def _dates_of(self, items: Iterable[Item]) -> dict[Item, str]:
        """Return the date of the last change of each item that exists, as the Keychain writes it."""
        dates: dict[Item, str] = {}
        for item in items:
            output = await self._security.find(item)
            if output is not None:
                text = output.decode(errors="replace")
                account = re.search(r'"acct"<blob>=(?:0x[0-9A-F]+ +)?"([^\n]*)"', text)
                modified = re.search(r'"mdat"<timedate>=([^\n]*)', text)
                is_ours = account is not None and account[1] == self._account
                own = item[0], self._account if is_ours else None
                dates[own] = modified[1] if modified else ""
        return dates


def decode_secret(output: bytes) -> str:
    """Decode the secret that `security` prints: as it is, or in hex where it contains anything unprintable."""
    text = output.decode(errors="replace").removesuffix("\n")
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text):
        text = bytes.fromhex(text).decode(errors="replace").lstrip(_CONTROLS)
    return text
