"""Edits the settings file: under a lock, whole or not at all, and never into a file that does not load.

`tomlkit` makes the edits, of one table at a time where that has a header of its own. Given the whole file, tomlkit
0.15 moves accounts that stand apart from each other, puts a new key below the comments that head the next table, and
leaves the heading of a removed account to the next one (tests/settings/test_tomlkit.py). The rest of the file stays
as it was to the byte.
"""

import codecs
import re
import shlex
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from monitor.core.alerts.rules import Override
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.model import Account
from monitor.settings.model import ACCOUNT, Settings, check_unique
from monitor.settings.reader import load, parse, places_in
from monitor.settings.schema import KeyPath
from monitor.system.files import LOCK_SECS, lock_file, read_regular, write_private

Value = str | int | float | tuple[str | float, ...]


class SettingsFile:
    """A settings file that people edit too: comments, order and formatting stay as they are.

    Every method reads the file again, may wait for a lock and a disk, and raises SettingsError where the change makes
    no sense and another TrackerError where the file cannot be written; the file is then as it was.
    """

    def __init__(self, path: Path, lock_secs: float = LOCK_SECS) -> None:
        self.path = path
        self._lock_secs = lock_secs

    def read(self) -> Settings:
        """Read the settings as they are now."""
        return load(self.path)

    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raise what adding the account, or putting it in the place of another, would raise; nothing is written."""
        draft = self._draft()
        if instead_of is None:
            draft.add(account)
        else:
            draft.replace(instead_of, account)
        draft.content()

    def add_account(self, account: Account) -> None:
        """Append the account; its name, and what metrics call it, must be new."""
        self._apply(lambda draft: draft.add(account))

    def replace_account(
        self, name: str, account: Account, override: Override | None = None
    ) -> None:
        """Put the account in the place of the one of that name, and write only what differs.

        The exceptions for the account's alerts stay, also under a new name, unless there is an `override`.
        """
        self._apply(lambda draft: draft.replace(name, account, override))

    def remove_account(self, name: str) -> None:
        """Remove the account; where it was the active one, the first becomes that."""
        self._apply(lambda draft: draft.remove(name))

    def set_active(self, name: str) -> None:
        """Make the account the active one."""
        self._apply(lambda draft: draft.activate(draft.index(name)))

    def _apply(self, change: "Callable[[_Draft], None]") -> None:
        try:
            with lock_file(self.path, self._lock_secs):
                draft = self._draft()
                change(draft)
                edited = draft.content()
                if edited == draft.before:
                    return
                # A read-only file could be replaced all the same, but is not meant to change.
                if self.path.exists() and not self.path.stat().st_mode & stat.S_IWUSR:
                    words = f"is read-only: chmod u+w {shlex.quote(str(self.path))}"
                    raise TrackerError(f"{self.path}: {words}")
                write_private(self.path, edited)
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be changed: {error.strerror}") from None

    def _draft(self) -> "_Draft":
        try:
            return _Draft(self.path, read_regular(self.path))
        except FileNotFoundError:
            return _Draft(self.path, b"")


class _Draft:
    """The text of a file that is being changed, and beside it the document that it must be equal to in the end."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.before = content
        self._path = path
        self._settings = parse(content, path)
        self._mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        self._text = content.removeprefix(self._mark).decode()
        self._meant = tomllib.loads(self._text)

    def content(self) -> bytes:
        """Return the new content. Raises SettingsError where it is not exactly what was meant."""
        edited = self._mark + self._text.encode()
        try:
            parse(edited, self._path)
            done = tomllib.loads(self._text) == self._meant
        except SettingsError:
            done = False
        if not done:
            raise SettingsError(
                f"{self._path}: this change cannot be made in a file written like this: give each account "
                "an [[accounts]] table and the other settings their [table], or change it by hand"
            )
        return edited

    def add(self, account: Account) -> None:
        self._check(account, self._settings.accounts)
        values = _to_toml(_values(account))
        self._meant.setdefault("accounts", []).append(values)
        self._text = _with_account(self._text, values)

    def replace(self, name: str, account: Account, override: Override | None = None) -> None:
        index, settings = self.index(name), self._settings
        accounts = list(settings.accounts)
        old, new = _values(accounts.pop(index)), _values(account)
        self._check(account, accounts)
        if override is not None:
            old |= _exceptions(settings.overrides.get(name, Override()))
            new |= _exceptions(override)
        changed = {key: value for key, value in new.items() if value != old[key]}
        self._assign(("accounts", index), changed)
        for kind, rule in settings.notifications.rules.items():
            if account.name != name and name in (rule.accounts or ()):
                self._rename(("notifications", "rules", str(kind)), name, account.name)

    def remove(self, name: str) -> None:
        index, active = self.index(name), self._settings.active_account
        self._text = _without_account(self._text, index)
        del self._meant["accounts"][index]
        if not self._meant["accounts"]:
            del self._meant["accounts"]
        # One that lies outside of the accounts is left alone.
        if index <= active < len(self._settings.accounts):
            self.activate(0 if active == index else active - 1)

    def activate(self, index: int) -> None:
        if index != self._settings.active_account:
            self._assign(("settings",), {"active_account": index})

    def index(self, name: str) -> int:
        """Return the account's place in the file. Raises SettingsError where there is none of that name."""
        names = [account.name for account in self._settings.accounts]
        if name not in names:
            raise SettingsError(f"there is no account {name!r}: see `monitor accounts list`")
        return names.index(name)

    def _check(self, account: Account, others: Iterable[Account]) -> None:
        """Raise SettingsError where this account cannot be in the file beside the others."""
        ACCOUNT(_to_toml(_values(account)))
        check_unique(account, {each.name for each in others}, {each.title for each in others})
        for key, entry in self._settings.channels.entries.items():
            if entry == account.name:  # whose token the channel would send
                raise SettingsError(
                    f"channels.{key} uses the keyring entry {entry!r} already: choose another name"
                )

    def _assign(self, path: KeyPath, values: Mapping[str, Value | None]) -> None:
        """Set these values in the table; None removes a key."""
        table: Any = self._meant
        for part in path:
            table = table[part] if isinstance(part, int) else table.setdefault(part, {})
        for key in values:
            table.pop(key, None)
        table.update(_to_toml(values))
        self._text = _with_values(self._text, path, values)

    def _rename(self, path: KeyPath, old: str, new: str) -> None:
        """Put the account's new name into the rule of this table."""

        def change(rule: Any) -> None:
            rule["accounts"][rule["accounts"].index(old)] = new

        change(_at(self._meant, path))
        self._text = _with_table(self._text, path, change)


def _values(account: Account) -> dict[str, Value | None]:
    """Return an account's keys as they are in the file; None for a key that is not there."""
    return {
        "name": account.name,
        "org_id": account.org_id or None,
        "auth_method": str(account.auth_method),
        "label": account.label,
        "reserve": account.reserve or None,
        "storage": account.storage and str(account.storage),
        "config_dir": account.config_dir,
        "token_command": account.token_command or None,
    }


def _exceptions(override: Override) -> dict[str, Value | None]:
    """Return the keys of the exceptions for an account's alerts."""
    percents = override.thresholds and tuple(round(ratio * 100, 6) for ratio in override.thresholds)
    return {
        "thresholds": percents and tuple(int(p) if p == int(p) else p for p in percents),
        "silent": tuple(sorted(map(str, override.silent))) or None,
    }


# Texts


def _with_values(text: str, table: KeyPath, values: Mapping[str, Value | None]) -> str:
    """Set these values in the table, which is added at the end where it is missing; None removes a key."""
    import tomlkit

    place = places_in(text).get(table)
    if place is None:
        return _with_block(text, len(text), {str(table[-1]): _to_toml(values)})
    indent = re.match(r"[ \t]*", text[_line_start(text, place.end) :])

    def change(found: Any) -> None:
        for key in values.keys() - _to_toml(values).keys():
            found.pop(key, None)
        for key, value in _to_toml(values).items():
            if key in found:
                found[key] = value
            else:
                item = tomlkit.item(value)
                item.trivia.indent = indent[0] if indent else ""
                item.trivia.trail = _newline(text)
                found.append(key, item)

    return _with_table(text, table, change)


def _with_table(text: str, table: KeyPath, change: Callable[[Any], None]) -> str:
    """Change the table by tomlkit; where that cannot do it, return the text as it was, which is noticed afterwards."""
    import tomlkit  # only when something is written: it takes as long to import as all the rest
    from tomlkit.exceptions import TOMLKitError

    place = places_in(text)[table]
    alone = place.is_header(text)
    start, end = (place.start, _line_end(text, place.end)) if alone else (0, len(text))
    try:
        document = tomlkit.parse(text[start:end])
        if document.as_string() != text[start:end]:
            return text
        change(_at(document, [0 if alone and isinstance(part, int) else part for part in table]))
    except TOMLKitError:
        return text
    return text[:start] + document.as_string() + text[end:]


def _at(document: Any, path: Iterable[str | int]) -> Any:
    """Return what is at this path of a document."""
    return reduce(getitem, path, document)


def _with_account(text: str, values: Mapping[str, Any]) -> str:
    """Add the account as an `[[accounts]]` table, below the last of them and the comments that follow it."""
    places = places_in(text).items()
    ends = [place.end for path, place in places if path[0] == "accounts" and len(path) == 2]
    at = len(text)
    if ends:
        at = _line_end(text, max(ends))
        while comment := re.compile(r"[ \t]*#[^\n]*(?:\n|\Z)").match(text, at):
            at = comment.end()
    return _with_block(text, at, {"accounts": [values]})


def _without_account(text: str, index: int) -> str:
    """Remove the account's table, and the comment that is its heading.

    All other comments above and below the table stay: they may be about others.
    """
    place = places_in(text)[("accounts", index)]
    before, after = text[: _line_start(text, place.start)], text[_line_end(text, place.end) :]
    # Comments below a blank line are about what follows them.
    before = re.sub(r"(?<=\n)([ \t]*\r?\n)(?:[ \t]*#[^\n]*\n)+\Z", r"\1", before)
    if not before or _ends_with_blank_line(before):
        after = re.sub(r"\A(?:[ \t]*\r?\n)+", "", after)
    return before + after


def _with_block(text: str, at: int, block: Mapping[str, Any]) -> str:
    """Insert a table between blank lines, as many as are needed."""
    import tomlkit

    newline = _newline(text)
    before, after = text[:at], text[at:]
    if before and not before.endswith("\n"):
        before += newline
    above = newline if before.strip() and not _ends_with_blank_line(before) else ""
    below = newline if re.match(r"[ \t]*[^\s]", after) else ""
    return before + above + tomlkit.dumps(block).replace("\n", newline) + below + after


def _to_toml(values: Mapping[str, Value | None]) -> dict[str, Any]:
    """Return the values as TOML has them, without those that are None."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
        if value is not None
    }


def _ends_with_blank_line(text: str) -> bool:
    return bool(re.search(r"\n[ \t]*\r?\n\Z", text))


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    """Return the place after the line's end, or the end of the text."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
