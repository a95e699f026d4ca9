"""Claude Code's login in the macOS Keychain, read by `/usr/bin/security` alone.

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
from typing import Final

from monitor.clock import Clock
from monitor.core.errors import CredentialError, NotLoggedInError, Trouble
from monitor.core.model import Login
from monitor.sources.login import parse_login
from monitor.sources.security import SILENT, Security

SERVICE: Final = "Claude Code-credentials"
QUIET_SECS: Final = 60.0

_ABSENT: Final = 44
_NO_KEYCHAIN: Final = (
    "there is no login Keychain in this session: start this from the desktop",
    Trouble.NO_KEYRING,
)
_TOLD: Final = {
    36: (
        "the Keychain is locked: run `security unlock-keychain`, or start this from the desktop",
        Trouble.LOCKED,
    ),
    37: _NO_KEYCHAIN,
    50: _NO_KEYCHAIN,
    51: (
        "the Keychain refuses access: allow `security` in Keychain Access, then import again",
        Trouble.DENIED,
    ),
    128: ("the Keychain's question was cancelled: import again, and allow it", Trouble.DENIED),
}
"""What to do about an exit code, which is the last byte of macOS's own error number."""

_PASSED_OVER: Final = (Trouble.ABSENT, Trouble.MCP_ONLY, Trouble.DAMAGED)
"""Beside such an item, another may hold the login."""

_CONTROLS: Final = "".join(map(chr, range(32)))

Item = tuple[str, str | None]
"""A service, and an account or whichever there is."""


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
    """The login under the first of these services that has one. When to try again after a failure is not its matter."""

    def __init__(
        self, services: Sequence[str], account: str, *, security: Security, clock: Clock
    ) -> None:
        self._items = [(service, who) for service in services for who in (account, None)]
        self._found: Item | None = None
        self._security = security
        self._clock = clock
        self._turn = asyncio.Lock()
        self._quiet_until: float | None = None
        self._modified: str | None = None

    async def read(self) -> Login:
        """Raises NotLoggedInError, or a CredentialError that says why the Keychain cannot be used."""
        failure: CredentialError = NotLoggedInError(
            "Claude Code is not logged in: start `claude` and use /login"
        )
        for item in self._in_order():
            try:
                login = await self._login(item)
            except CredentialError as error:
                if error.trouble not in _PASSED_OVER:
                    raise
                failure = error if isinstance(failure, NotLoggedInError) else failure
            else:
                if login is not None:
                    self._found = item
                    return login
        raise failure

    async def stamp(self) -> Hashable:
        """Differs after each change. While the Keychain does not answer, nothing is known to have changed."""
        if not self._is_quiet():
            with contextlib.suppress(CredentialError):
                self._modified = await self._date()
        return self._modified

    async def _login(self, item: Item) -> Login | None:
        """What the item holds; None where there is no such item."""
        code, output = await self._find(item, "-w")
        if code == _ABSENT:
            return None
        if code != 0:
            raise _failed(code)
        return parse_login(decoded(output), f"the Keychain item {item[0]!r}")

    async def _date(self) -> str | None:
        """The item's own date of its last change; None where there is no item."""
        for item in self._in_order():
            code, output = await self._find(item)
            if code == 0:
                match = re.search(rb'"mdat"<timedate>=([^\n]*)', output)
                return match[1].decode(errors="replace") if match else None
        return None

    def _in_order(self) -> Iterator[Item]:
        """Where the login was the last time comes first, and is mostly the only question."""
        found = self._found
        if found:
            yield found
        yield from (item for item in self._items if item != found)

    async def _find(self, item: Item, *flags: str) -> tuple[int, bytes]:
        """One question at a time, so that whoever waited learns that the one before has hung."""
        service, account = item
        whose = () if account is None else ("-a", account)
        async with self._turn:
            if self._is_quiet():
                raise CredentialError(SILENT, trouble=Trouble.SILENT)
            return await self._ask("find-generic-password", *whose, *flags, "-s", service)

    async def _ask(self, *arguments: str) -> tuple[int, bytes]:
        try:
            return await self._security.ask(*arguments)
        except CredentialError as error:
            if error.trouble is Trouble.SILENT:
                self._quiet_until = self._clock.monotonic() + QUIET_SECS
            raise

    def _is_quiet(self) -> bool:
        """Whether it did not answer just now, and is to be left alone."""
        return self._quiet_until is not None and self._clock.monotonic() < self._quiet_until


def _failed(code: int) -> CredentialError:
    otherwise = (f"`security` failed with exit code {code}", Trouble.FAILED)
    words, trouble = _TOLD.get(code, otherwise)
    return CredentialError(words, trouble=trouble)


def decoded(output: bytes) -> str:
    """The secret that `security` prints: as it is, or in hex where it holds anything unprintable."""
    text = output.decode(errors="replace").removesuffix("\n")
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text):
        text = bytes.fromhex(text).decode(errors="replace").lstrip(_CONTROLS)
    return text
