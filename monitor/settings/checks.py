"""Values that the settings accept: each function returns what it was given or raises SettingsError in plain words.

The words name neither file nor key, so that they fit a dialog and the command line as well.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final
from urllib.parse import SplitResult

from monitor.core.errors import SettingsError
from monitor.core.model import Account, AuthMethod, Storage
from monitor.settings.model import ExporterSettings
from monitor.settings.reader import suggestion
from monitor.system.urls import is_loopback, split_url

_BIDI_CONTROLS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_PORT_MAX: Final = 65535

Check = Callable[[str], str]
"""A function of this module that looks at a text."""


def check_name(name: str, what: str = "the name") -> str:
    """A name that is safe in tables, metrics and notifications."""
    if not name.strip():
        raise SettingsError(f"{what} is empty: give one, such as an e-mail address")
    if name != name.strip():
        raise SettingsError(f"{what} begins or ends with a space: remove it")
    if any(_is_control(character) for character in name):
        raise SettingsError(f"{what} holds an invisible control character: type it anew")
    return name


def _is_control(character: str) -> bool:
    """Line ends, escapes, and the marks that make text run the other way."""
    return (
        unicodedata.category(character) in {"Cc", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in _BIDI_CONTROLS
    )


def check_org_id(org_id: str) -> str:
    """An organization's id, which becomes part of a URL; empty where it is not known."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", org_id) or org_id in (".", ".."):
        raise SettingsError(
            "an organization id has only letters, digits, dots and dashes: copy it anew"
        )
    return org_id


def check_label(label: str) -> str:
    """What metrics call an account instead of its name."""
    return check_name(label, "the label")


def check_new_name(account: Account, others: Sequence[Account]) -> None:
    """Names are what the keyring and the commands know accounts by."""
    if account.name in {other.name for other in others}:
        raise SettingsError(f"there is an account {account.name!r} already: choose another name")


def check_new_title(account: Account, others: Sequence[Account]) -> None:
    """Two accounts of one title would be one series in metrics."""
    if account.title in {other.title for other in others}:
        raise SettingsError(
            f"metrics call another account {account.title!r} already: choose another label"
        )


def check_not_an_entry(account: Account, entries: Mapping[str, str]) -> None:
    """An account's token would be sent to whatever channel uses the entry of that name."""
    for key, entry in entries.items():
        if entry == account.name:
            raise SettingsError(
                f"channels.{key} uses the keyring entry {entry!r} already: choose another name"
            )


def check_account(account: Account, others: Sequence[Account]) -> Account:
    """An account that may be added beside the others."""
    check_name(account.name)
    check_org_id(account.org_id)
    if account.label is not None:
        check_label(account.label)
    if account.config_dir is not None:
        check_config_dir(account.config_dir)
    check_storage(account)
    check_new_name(account, others)
    check_new_title(account, others)
    return account


def check_config_dir(folder: str) -> str:
    """Claude Code's folder, exactly as it is spelled: on macOS each spelling is a login of its own."""
    if not folder.strip():
        raise SettingsError('is empty: write a folder such as "~/.claude-work", or remove it')
    if any(_is_control(character) for character in folder):
        raise SettingsError("holds an invisible control character: type it anew")
    if not (folder.startswith("~") or PurePosixPath(folder).is_absolute() or _is_windows(folder)):
        raise SettingsError(
            'depends on where this is started: write the whole path, or one from "~/" on'
        )
    return folder


def _is_windows(folder: str) -> bool:
    return PureWindowsPath(folder).is_absolute()


def parse_storage(word: str, known: Sequence[Storage] = tuple(Storage)) -> Storage:
    """Where tokens are had from, of the places that may be named here."""
    words = tuple(map(str, known))
    if word not in words:
        raise SettingsError(f"no such place; {suggestion(word, words)}")
    return Storage(word)


def check_storage(account: Account) -> None:
    """The account's token can be had from where it says."""
    if account.storage is Storage.LINKED and account.auth_method is not AuthMethod.OAUTH:
        raise SettingsError(
            'Claude Code keeps no session keys: remove this, or write auth_method = "oauth"'
        )
    if account.storage is Storage.COMMAND and not account.token_command:
        raise SettingsError('which command? add token_command = ["pass", "show", "claude/work"]')
    if account.token_command and account.storage is not Storage.COMMAND:
        raise SettingsError('there is a token_command as well: write "command", or remove that')


def check_url(url: str) -> str:
    """https, or http on a loopback address; without trailing slash."""
    return _base_url(url, "tokens are sent there", "https://api.anthropic.com")


def check_alertmanager_url(url: str) -> str:
    """Where an Alertmanager is, without trailing slash."""
    return _base_url(url, "names of accounts are sent there", "http://127.0.0.1:9093")


def _base_url(url: str, why: str, example: str) -> str:
    parts = _safe(url, why, example)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("a URL here has no user, query or fragment: leave those out")
    return url.rstrip("/")


def check_webhook_url(url: str) -> str:
    """A URL to post to, exactly as it was given; it may have a query."""
    parts = _safe(url, "names of accounts are sent there", "https://ntfy.sh/my-topic")
    if parts.username or parts.password or parts.fragment:
        raise SettingsError(
            "a webhook's URL has no user or fragment: leave those out, and name a keyring entry as token"
        )
    return url


def _safe(url: str, why: str, example: str) -> SplitResult:
    """The parts of a URL that nobody on the way can read along."""
    parts = split_url(url)
    if parts is None or not parts.hostname:
        raise SettingsError(f"not a URL: write one such as {example}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise SettingsError(f"{why}: use https (http only on a loopback address)")
    return parts


def check_user_agent(text: str) -> str:
    """What may stand in a header: printable ASCII."""
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", text):
        raise SettingsError("a user agent is made of plain ASCII characters on one line")
    return text


def parse_listen(text: str) -> ExporterSettings:
    """`HOST:PORT`, an IPv6 address in brackets; or `off`."""
    if text == "off":
        return ExporterSettings(host=None, port=None)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > _PORT_MAX or not _is_host(match[1], match[2]):
        raise SettingsError(
            'not an address to listen on: write HOST:PORT, such as "127.0.0.1:15707" or '
            '"[::1]:15707", or "off" to serve nothing'
        )
    return ExporterSettings(host=match[1] or match[2], port=int(match[3]))


def _is_host(bracketed: str | None, plain: str) -> bool:
    try:
        if bracketed is not None:
            ipaddress.IPv6Address(bracketed)
        elif re.fullmatch(r"[0-9.]+", plain):
            ipaddress.IPv4Address(plain)
    except ValueError:
        return False
    return bracketed is not None or bool(re.fullmatch(r"[A-Za-z0-9._-]+", plain))
