"""Claude Code's login in the macOS Keychain, read by `/usr/bin/security` alone.

Claude Code writes with `security` too, and each write takes every other program's permission away: a look from
within this process would ask the user anew after each renewal, about every eight hours. See
anthropics/claude-code#94491. What never asks is a look at the attributes without the secret; hence `stamp`.
"""

import asyncio
import getpass
import hashlib
import re
import unicodedata
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Final, NoReturn

from monitor.clock import Clock
from monitor.core.errors import CredentialError, NotLoggedInError
from monitor.core.model import Login
from monitor.sources.login import parse_login

SERVICE: Final = "Claude Code-credentials"
LIMIT_SECS: Final = 5.0
QUIET_SECS: Final = 60.0

_ABSENT: Final = 44
_LOCKED: Final = 36
_WORDS: Final = {
    _LOCKED: "the Keychain is locked: run `security unlock-keychain`, or start this from the desktop",
    51: "macOS refused `security` the login: allow it in Keychain Access, then import again",
    128: "the Keychain's question was cancelled: import again, and allow it",
}
"""What to do about an exit code, which is the last byte of macOS's own error number."""

_SILENT: Final = (
    "the Keychain does not answer: look for its question on the desktop, and try again in a minute"
)
_CONTROLS: Final = "".join(map(chr, range(32)))

Item = tuple[str, str | None]
"""A service, and an account or whichever there is."""


def services(spelling: str) -> tuple[str, ...]:
    """The names that the item may have, best first. The suffix hashes the folder as it was spelled for Claude Code."""
    if not spelling:
        return (SERVICE,)
    bare = spelling.rstrip("/")
    return tuple(dict.fromkeys(f"{SERVICE}-{_suffix(s)}" for s in (spelling, bare, f"{bare}/")))


def _suffix(spelling: str) -> str:
    return hashlib.sha256(unicodedata.normalize("NFC", spelling).encode()).hexdigest()[:8]


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
    """The login under the first of these services that has one."""

    def __init__(
        self,
        services: Sequence[str],
        account: str,
        *,
        security: str,
        clock: Clock,
        limit_secs: float = LIMIT_SECS,
    ) -> None:
        self._items = [(service, who) for service in services for who in (account, None)]
        self._found: Item | None = None
        self._security = security
        self._clock = clock
        self._limit_secs = limit_secs
        self._retry_at: float | None = None
        self._silent = False
        self._retries = 0

    async def read(self) -> Login:
        """Raises NotLoggedInError, or a CredentialError that says why the Keychain cannot be used."""
        self._refuse_while_silent()
        nobody = NotLoggedInError("Claude Code is not logged in: start `claude` and use /login")
        for item in self._in_order():
            code, output = await self._find(item, "-w")
            if code == _ABSENT:
                continue
            if code != 0:
                self._fail(code)
            try:
                login = parse_login(decoded(output), f"the Keychain item {item[0]!r}")
            except NotLoggedInError as error:
                nobody = error
                continue
            self._found = item
            return login
        raise nobody

    async def stamp(self) -> Hashable:
        """Differs after each change, and once more when it is time to try again after a failure."""
        if self._retry_at is not None and self._clock.monotonic() >= self._retry_at:
            self._retry_at, self._silent = None, False
            self._retries += 1
        return self._retries, await self._modified()

    async def _modified(self) -> str | None:
        if self._silent:
            return None
        try:
            for item in self._in_order():
                code, output = await self._find(item)
                if code == 0:
                    match = re.search(rb'"mdat"<timedate>=([^\n]*)', output)
                    return match[1].decode(errors="replace") if match else None
        except CredentialError:
            pass
        return None

    def _in_order(self) -> Iterator[Item]:
        """Where the login was the last time comes first, and is mostly the only question."""
        if self._found:
            yield self._found
        yield from (item for item in self._items if item != self._found)

    async def _find(self, item: Item, *flags: str) -> tuple[int, bytes]:
        service, account = item
        whose = () if account is None else ("-a", account)
        return await self._run("find-generic-password", *whose, *flags, "-s", service)

    async def _run(self, *arguments: str) -> tuple[int, bytes]:
        """Exit code and output. One that does not answer in time is killed, and not asked again for a while."""
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                self._security, *arguments, stdin=null, stdout=pipe, stderr=null
            )
        except OSError as error:
            raise CredentialError(f"{self._security} cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(self._limit_secs):
                output, _ = await process.communicate()
        except TimeoutError:
            self._silent = True
            self._try_again_later()
            raise CredentialError(_SILENT) from None
        finally:
            await _ended(process)
        return process.returncode or 0, output

    def _refuse_while_silent(self) -> None:
        if self._silent:
            raise CredentialError(_SILENT)

    def _fail(self, code: int) -> NoReturn:
        """A locked Keychain is tried again later; where somebody said no, only when somebody asks."""
        if code == _LOCKED:
            self._try_again_later()
        raise CredentialError(_WORDS.get(code, f"`security` failed with exit code {code}"))

    def _try_again_later(self) -> None:
        self._retry_at = self._clock.monotonic() + QUIET_SECS


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def decoded(output: bytes) -> str:
    """The secret that `security` prints: as it is, or in hex where it holds anything unprintable."""
    text = output.decode(errors="replace").removesuffix("\n")
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text):
        text = bytes.fromhex(text).decode(errors="replace").lstrip(_CONTROLS)
    return text
