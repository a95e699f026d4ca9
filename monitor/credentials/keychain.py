"""Claude Code's login in the macOS Keychain, read by `/usr/bin/security` alone. Asks; writes nothing, ever.

Claude Code writes with `security` too, and each write takes every other program's permission away: a look from
within this process would ask the user anew after each renewal, about every eight hours. See
anthropics/claude-code#94491. What never asks is a look at the attributes without the secret; hence `stamp`.
"""

import asyncio
import contextlib
import getpass
import hashlib
import re
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from monitor.core.errors import Cause, CredentialError, Failure, NotLoggedInError, Reason, Source
from monitor.core.model import DEAD_BEFORE, Login
from monitor.credentials.tokens import expiry, parse_login
from monitor.system.clock import Clock
from monitor.system.subprocesses import TooMuchOutputError, output_of

SECURITY: Final = "/usr/bin/security"
LIMIT_SECS: Final = 5.0
MAX_BYTES: Final = 4 * 1024 * 1024

LIST_SECS: Final = 600.0
LIST_BYTES: Final = 64 * 1024 * 1024

SERVICE: Final = "Claude Code-credentials"
QUIET_SECS: Final = 60.0

ALL_SECS: Final = 60.0
"""How often all items that there may be are looked for, while those that there are hold no good login."""

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
"""Beside such an item, another may hold the login."""

_CONTROLS: Final = "".join(map(chr, range(32)))

Item = tuple[str, str | None]
"""A service, and an account or whichever there is."""

_ITEM: Final = re.compile(
    rb'^\s*"svce"<blob>="(' + re.escape(SERVICE).encode() + rb'(?:-[0-9a-f]{8})?)"\s*$',
    re.MULTILINE,
)


class Security:
    """All who ask through one of these wait for their turn: where a question hangs, no others pile up behind it."""

    def __init__(self, program: str = SECURITY, limit_secs: float = LIMIT_SECS) -> None:
        self._program = program
        self._limit_secs = limit_secs
        self._turn = asyncio.Lock()

    async def ask(self, *arguments: str, max_bytes: int = MAX_BYTES) -> tuple[int, bytes]:
        """Exit code and output. Raises CredentialError where it cannot be run, or was killed for its silence."""
        async with self._turn:
            try:
                return await output_of(
                    self._program, *arguments, limit_secs=self._limit_secs, max_bytes=max_bytes
                )
            except TimeoutError:
                cause, detail = Cause.SILENT, ""
            except OSError as error:
                cause, detail = Cause.NOT_STARTED, error.strerror or ""
            except TooMuchOutputError:
                cause, detail = Cause.TOO_LARGE, ""
        raise CredentialError(
            Failure(Reason.CREDENTIALS, cause, Source.KEYCHAIN, name=self._program, detail=detail)
        )


def services(folder: str) -> tuple[str, ...]:
    """The names that the item may have, best first. The suffix hashes the folder as it was spelled for Claude Code."""
    return tuple(dict.fromkeys(map(_service, _spellings(folder))))


def spelling_of(service: str, folders: Iterable[str]) -> str | None:
    """How one of these folders is spelled in the name of the item; None where it is none of theirs."""
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
    """The account that Claude Code files its item under."""
    name = environ.get("USER") or _system_user()
    return name if re.fullmatch(r"[a-zA-Z0-9._-]+", name) else "claude-code-user"


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


class Keychain:
    """The login under one of these services. When to try again after a failure is not its matter.

    There may be several: each spelling of the folder has an item of its own, and another program may have filed one
    under no account, or another one.
    """

    def __init__(
        self, services: Sequence[str], account: str, *, security: Security, clock: Clock
    ) -> None:
        self._services = services
        self._account = account
        self._found: Item | None = None
        self._ends: datetime | None = None
        self._ended: datetime | None = None
        self._dates: dict[Item, str] = {}
        self._look_for_all_at = 0.0
        self._security = security
        self._clock = clock
        self._turn = asyncio.Lock()
        self._quiet_until: float | None = None

    async def login(self) -> Login:
        """The first login that has not ended, else of all that there are the one that ended last.

        Raises NotLoggedInError, or a CredentialError that says why the Keychain cannot be used.
        """
        try:
            logins = await self._logins()
        except NotLoggedInError:
            self._found = None
            raise
        self._found = max(logins, key=lambda item: expiry(logins[item].credential))
        login = logins[self._found]
        self._ends = login.credential.expires_at
        return login

    async def _logins(self) -> Mapping[Item, Login]:
        """Not empty. No secret is asked for twice, and none any more after a failure that another one would share."""
        logins: dict[Item, Login] = {}
        failures: list[CredentialError] = []
        asked: list[Item] = []
        for item in self._in_order():
            try:
                login = await self._login(item, asked)
            except CredentialError as error:
                failures.append(error)
                if error.cause not in _PASSED_OVER:
                    break
            else:
                if login is not None:
                    logins[item] = login
                    if not login.credential.is_dead(self._clock.now()):
                        break
        if not logins:
            raise _most_telling(failures)
        return logins

    async def _login(self, item: Item, asked: list[Item]) -> Login | None:
        """What the item holds; None where there is no such item, or where it was asked already."""
        if await self._is_among(item, asked):
            return None
        code, output = await self._find(item, "-w")
        if code == _ABSENT:
            return None
        asked.append(item)
        if code != 0:
            raise _failed(code)
        return parse_login(decoded(output), f"the Keychain item {item[0]!r}")

    async def _is_among(self, item: Item, others: Sequence[Item]) -> bool:
        """Whether it is one of these, asked for in another way."""
        rivals = [other for other in others if other[0] == item[0]]
        if not rivals:
            return False
        return await self._own(item) in [await self._own(rival) for rival in rivals]

    async def _own(self, item: Item) -> Item:
        """The item by the account that it has."""
        attributes = await self._attributes(item) if item[1] is None else None
        return item if attributes is None else (item[0], attributes.account)

    async def stamp(self) -> Hashable:
        """Differs after each change. While the Keychain does not answer, nothing is known to have changed.

        While a login is good, nobody needs the other items. Once it has ended each may hold a better one, even one
        that has been there for long: so that it ended is a change too, where there are others.
        """
        if not self._is_quiet():
            with contextlib.suppress(CredentialError):
                await self._look()
        return frozenset(self._dates.items()), self._ended if len(self._dates) > 1 else None

    async def _look(self) -> None:
        if self._found is not None and self._is_good():
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

    async def _dates_of(self, items: Iterable[Item]) -> dict[Item, str]:
        """Of each that there is, by the account that it has, the date of its last change."""
        found = [(item[0], await self._attributes(item)) for item in items]
        return {(service, its.account): its.modified for service, its in found if its is not None}

    async def _all_dates(self) -> dict[Item, str]:
        """Whether a service has an item at all is a single question."""
        dates: dict[Item, str] = {}
        for service in self._services:
            found = await self._dates_of([(service, None)])
            ours = (service, self._account)
            dates |= found if not found or ours in found else found | await self._dates_of([ours])
        return dates

    def _is_good(self) -> bool:
        """Whether the login that was read last has not ended."""
        return self._ends is None or self._ends - self._clock.now() > DEAD_BEFORE

    def _in_order(self) -> Iterator[Item]:
        """Where the login was the last time comes first, and is mostly the only question."""
        found = self._found
        if found:
            yield found
        items = ((service, who) for service in self._services for who in (self._account, None))
        yield from (item for item in items if item != found)

    async def _attributes(self, item: Item) -> "_Attributes | None":
        """This never asks anybody anything; None where there is no such item."""
        code, output = await self._find(item)
        return _attributes(output) if code == 0 else None

    async def _find(self, item: Item, *flags: str) -> tuple[int, bytes]:
        """One question at a time, so that whoever waited learns that the one before has hung."""
        service, account = item
        whose = () if account is None else ("-a", account)
        async with self._turn:
            if self._is_quiet():
                raise CredentialError(_failure(Cause.SILENT))
            return await self._ask("find-generic-password", *whose, *flags, "-s", service)

    async def _ask(self, *arguments: str) -> tuple[int, bytes]:
        try:
            return await self._security.ask(*arguments)
        except CredentialError as error:
            if error.cause is Cause.SILENT:
                self._quiet_until = self._clock.monotonic() + QUIET_SECS
            raise

    def _is_quiet(self) -> bool:
        """Whether it did not answer just now, and is to be left alone."""
        return self._quiet_until is not None and self._clock.monotonic() < self._quiet_until


def _most_telling(failures: Sequence[CredentialError]) -> CredentialError:
    """The failure to show: that an item could not be read says more than that another one is empty."""
    unread = [f for f in failures if not isinstance(f, NotLoggedInError)]
    nobody = NotLoggedInError(_failure(Cause.ABSENT))
    return [nobody, *failures, *unread][-1]


@dataclass(frozen=True, slots=True)
class _Attributes:
    """Of one item, whose it is (None for nobody's), and the date of its last change as the Keychain writes it."""

    account: str | None
    modified: str


def _attributes(output: bytes) -> _Attributes:
    text = output.decode(errors="replace")
    account = re.search(r'"acct"<blob>=(?:0x[0-9A-F]+ +)?"([^\n]*)"', text)
    modified = re.search(r'"mdat"<timedate>=([^\n]*)', text)
    return _Attributes(account and account[1], modified[1] if modified else "")


def _failed(code: int) -> CredentialError:
    return CredentialError(_failure(_CAUSES.get(code, Cause.FAILED), str(code)))


def _failure(cause: Cause, detail: str = "") -> Failure:
    return Failure(Reason.CREDENTIALS, cause, Source.KEYCHAIN, detail=detail)


def decoded(output: bytes) -> str:
    """The secret that `security` prints: as it is, or in hex where it holds anything unprintable."""
    text = output.decode(errors="replace").removesuffix("\n")
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text):
        text = bytes.fromhex(text).decode(errors="replace").lstrip(_CONTROLS)
    return text


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
                self._ask_at = now + LIST_SECS
                await self._ask()
            return self._services

    async def _ask(self) -> None:
        try:
            code, output = await self._security.ask("dump-keychain", max_bytes=LIST_BYTES)
        except CredentialError:
            return
        if code == 0:
            self._services = parse_services(output)


def parse_services(output: bytes) -> tuple[str, ...]:
    """The services in what `security dump-keychain` prints."""
    return tuple(sorted({found.decode() for found in _ITEM.findall(output)}))
