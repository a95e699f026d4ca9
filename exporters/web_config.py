"""The configuration of the site: its address, its names, and `web.yml` in the format of the exporter toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md has the keys. Those that Python's
TLS cannot honour are errors: client certificates that are requested and not verified, and several curves.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

from exporters.headers import address, is_loopback
from monitor.core.errors import SettingsError

LOOK_SECS: Final = 2.0
"""Between two checks whether the files have changed."""
MOST_WAITING: Final = 8
"""Passwords that wait to be checked, which takes 0.1 s of processor time each."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """The address of the site, and its options. `hosts` are names or patterns that `Host` may be, beside its own.

    A `host` of "" is every address of the machine, and port 0 any free one. `web_config` is the path of a `web.yml`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    metrics_path: str = "/metrics"
    web_config: Path | None = None
    allow_plain: bool = False


def refuse_plain(config: SiteConfig) -> None:
    """Raise SettingsError where other machines could read the site, unprotected and not allowed by the settings."""
    if not (config.allow_plain or config.web_config or is_loopback(config.host)):
        where = address(config.host, config.port)
        raise SettingsError(
            f"{where} is open to other machines, and names your accounts",
            advice="set exporter.web_config (TLS and a password), or exporter.allow_plain = true if all who"
            " reach it may read it",
        )


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The content of a `web.yml`. `stamps` has the state of each of its files, by which a change is noticed."""

    tls: ssl.SSLContext | None = None
    client_sans: frozenset[str] = frozenset()
    users: Mapping[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    stamps: Mapping[Path, object] = field(default_factory=dict)

    def knows_client(self, certificate: Mapping[str, Any] | None) -> bool:
        """Return whether a client's certificate has one of the demanded names, if there are any."""
        names = {str(name) for _, name in (certificate or {}).get("subjectAltName", ())}
        return not self.client_sans or not self.client_sans.isdisjoint(names)


def load_web_config(path: Path) -> WebConfig:
    """Read the file and the certificates that it names, blocking. Raises SettingsError."""
    import yaml  # type: ignore[import-untyped]

    try:
        document = yaml.safe_load(path.read_bytes()) or {}
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise SettingsError(f"{path}{at}: not YAML: {getattr(error, 'problem', error)}") from None
    try:
        return _parse(document, path)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def _parse(document: Any, path: Path) -> WebConfig:
    whole = _table("", document, _SECTIONS)
    tls = _table("tls_server_config", whole.get("tls_server_config"), _TLS)
    served = _table("http_server_config", whole.get("http_server_config"), _HTTP)
    headers = _table("http_server_config.headers", served.get("headers"), _HEADERS)
    for name, value in headers.items():
        if not re.fullmatch(r"[ -~]*", value):
            raise SettingsError(f"http_server_config.headers.{name}: not a value of a header")
    users: dict[str, bytes] = {}
    for name, hashed in (whole.get("basic_auth_users") or {}).items():
        if not (isinstance(hashed, str) and _BCRYPT.fullmatch(hashed)):
            raise SettingsError(
                f"basic_auth_users.{name}: not a bcrypt hash: make one by `htpasswd -nBC 10 {name}`"
            )
        users[str(name)] = hashed.encode()
    files = [path.parent / Path(tls[key]).expanduser() for key in _FILES if key in tls]
    stamps = _stamps(path, *files)  # before they are read: what changes meanwhile is read again
    sans = frozenset(str(name) for name in tls.get("client_allowed_sans", ()))
    context = _context(tls, path.parent) if tls else None
    return WebConfig(context, sans, users, headers, stamps)


def _table(where: str, value: Any, known: Mapping[str, type]) -> dict[str, Any]:
    """Return a section's keys that are set. Raises SettingsError for unknown keys and wrong types."""
    if not isinstance(value or {}, dict):
        raise SettingsError(f"{where or 'the file'}: must be a mapping")
    found = {str(key): item for key, item in (value or {}).items() if item is not None}
    for key, item in found.items():
        name = f"{where}.{key}".lstrip(".")
        if key not in known:
            close = get_close_matches(key, known, 1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            raise SettingsError(f"{name}: unknown key; {meant}")
        if not isinstance(item, known[key]):
            raise SettingsError(f"{name}: must be {_KINDS[known[key]]}")
    return found


def _context(tls: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    """Make the TLS context of a `tls_server_config`. Raises SettingsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    context.minimum_version = _version("min_version", tls.get("min_version", "TLS12"))
    context.maximum_version = _version("max_version", tls.get("max_version", "TLS13"))
    if not tls.get("prefer_server_cipher_suites", True):
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for key in ("cert_file", "key_file"):
        if key not in tls:
            raise SettingsError(f"tls_server_config.{key}: is missing")
    auth, ca = tls.get("client_auth_type", "NoClientCert"), tls.get("client_ca_file")
    if auth not in _CLIENT_AUTH:
        raise SettingsError(
            f"tls_server_config.client_auth_type: {auth} is not supported: use {', '.join(_CLIENT_AUTH)}"
        )
    if (ca is not None) != (auth != "NoClientCert"):
        missing = "client_ca_file" if ca is None else "client_auth_type"
        raise SettingsError(f"tls_server_config.{missing}: is missing, {auth} does not go without")
    if tls.get("client_allowed_sans") and auth != "RequireAndVerifyClientCert":
        raise SettingsError(
            "tls_server_config.client_allowed_sans: needs RequireAndVerifyClientCert"
        )
    key = ""
    try:
        if suites := tls.get("cipher_suites"):
            key = "cipher_suites"
            context.set_ciphers(":".join([_openssl_name(str(suite)) for suite in suites]))
        if curves := tls.get("curve_preferences"):
            key = "curve_preferences"
            if len(curves) > 1:
                raise SettingsError(f"tls_server_config.{key}: only one can be set here")
            context.set_ecdh_curve(_CURVES.get(curves[0], str(curves[0])))
        if ca is not None:
            key = "client_ca_file"
            context.load_verify_locations(folder / Path(ca).expanduser())
        context.verify_mode = _CLIENT_AUTH[auth]
        key = "cert_file, key_file"
        cert, private = (
            folder / Path(tls[name]).expanduser() for name in ("cert_file", "key_file")
        )
        context.load_cert_chain(cert, private, password=lambda: "")  # never ask on the terminal
    except ssl.SSLError as error:
        words = str(getattr(error, "reason", None) or error.args[-1]).lower().replace("_", " ")
        raise SettingsError(f"tls_server_config.{key}: {words}") from None
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"tls_server_config.{key}: {words}") from None
    return context


def _version(key: str, name: str) -> ssl.TLSVersion:
    if name not in _VERSIONS:
        raise SettingsError(f"tls_server_config.{key}: must be one of {', '.join(_VERSIONS)}")
    return _VERSIONS[name]


def _openssl_name(suite: str) -> str:
    """Translate Go's name of a suite: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is ECDHE-RSA-AES128-GCM-SHA256."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    cipher = re.sub(r"AES_(\d+)_", r"AES\1_", cipher).replace("_CBC_", "_")
    cipher = cipher.replace("POLY1305_SHA256", "POLY1305")
    return (cipher if exchange == "RSA" else f"{exchange}_{cipher}").replace("_", "-")


def _stamps(*paths: Path) -> dict[Path, object]:
    """Return the modification time, size and inode of each file, or the number of the error."""
    stamps: dict[Path, object] = {}
    for path in paths:
        try:
            found = path.stat()
            stamps[path] = found.st_mtime_ns, found.st_size, found.st_ino
        except OSError as error:
            stamps[path] = error.errno
    return stamps


_BCRYPT: Final = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_FILES: Final = ("cert_file", "key_file", "client_ca_file")
_KINDS: Final = {str: "a text", bool: "true or false", list: "a list", dict: "a mapping"}
_SECTIONS: Final = {
    "tls_server_config": dict,
    "http_server_config": dict,
    "basic_auth_users": dict,
}
_TLS: Final = {
    **dict.fromkeys((*_FILES, "client_auth_type", "min_version", "max_version"), str),
    **dict.fromkeys(("client_allowed_sans", "cipher_suites", "curve_preferences"), list),
    "prefer_server_cipher_suites": bool,
}
_HTTP: Final = {"http2": bool, "headers": dict}  # http2 without effect: HTTP/1.1 is what is spoken
_HEADERS: Final = dict.fromkeys(
    (
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "X-XSS-Protection",
        "Content-Security-Policy",
    ),
    str,
)
_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function that may hang in a thread. Threads of `asyncio.to_thread` would delay the end of the process."""


class WebConfigFile:
    """The last valid content of a `web.yml`, and the passwords that were checked against it."""

    def __init__(self, path: Path | None, in_thread: InThread = asyncio.to_thread) -> None:
        self._path = path
        self._in_thread = in_thread
        self._key = secrets.token_bytes(32)
        self._known: set[tuple[bytes, bytes]] = set()
        self._checking = asyncio.Lock()
        self._waiting = 0
        self.current = WebConfig()

    async def load(self) -> None:
        """Load the file, if there is one. Raises SettingsError."""
        if self._path is not None:
            self.current = await self._in_thread(partial(load_web_config, self._path))

    async def follow(self) -> None:
        """Load the file again when it or a certificate changes; an invalid one is logged, and changes nothing."""
        if self._path is None:
            return
        stamps = self.current.stamps
        while True:
            await asyncio.sleep(LOOK_SECS)
            found = await self._in_thread(partial(_stamps, *stamps))
            if found == stamps:
                continue
            stamps = found
            try:
                await self.load()
            except SettingsError as error:
                _log.warning("still serving by the previous web configuration: %s", error)
            else:
                stamps = self.current.stamps
                _log.info("web configuration reloaded")

    async def allows(self, authorization: str) -> bool | None:
        """Check the name and password of an `Authorization` header; None where too many are being checked.

        bcrypt is slow on purpose, so it runs in a thread, one at a time, and correct passwords are remembered.
        """
        name, password = _parse_basic(authorization)
        users = self.current.users
        hashed = users.get(name, b"")
        proof = hashed, hmac.digest(self._key, password, "sha256")
        if proof in self._known:
            return True
        if self._waiting >= MOST_WAITING:
            return None
        self._waiting += 1
        try:
            async with self._checking:
                # An unknown name takes as long, so that time does not reveal which names exist.
                other = hashed or next(iter(users.values()))
                is_right = await asyncio.to_thread(_matches, password, other)
        finally:
            self._waiting -= 1
        if hashed and is_right:
            self._known.add(proof)  # at most one for each hash
        return bool(hashed) and is_right


def _matches(password: bytes, hashed: bytes) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _parse_basic(authorization: str) -> tuple[str, bytes]:
    """Parse the name and password of a header (RFC 7617); empty ones where it has none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return "", b""
    name, colon, password = decoded.partition(b":")
    if scheme.lower() != "basic" or not colon:
        return "", b""
    return name.decode(errors="replace"), password[:72]  # bcrypt never looks at more
