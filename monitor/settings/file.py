"""Edits of the settings file: under a lock, whole or not at all, never into one that does not load.

`tomlkit` makes the edits, of one table at a time where that has a header of its own. Given the whole file, tomlkit
0.15 moves accounts that stand apart from each other, puts a new key below the comments that head the next table, and
leaves the heading of an account that it removes to the next one (tests/settings/test_tomlkit.py). What it is not
given stays as it was to the byte.
"""

import codecs
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from monitor.core.alerts.rules import Override
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.model import Account
from monitor.settings.model import ACCOUNT, Settings, check_unique
from monitor.settings.reader import load, parse, places_in
from monitor.settings.schema import KeyPath
from monitor.system.files import LOCK_SECS, locked, read_regular, write_private

Value = str | int | float | tuple[str | float, ...]
Change = Callable[[Settings, str], tuple[Settings, str]]
"""From the settings and their text to the settings that are meant and the text that is to say so."""


class SettingsFile:
    """A settings file that people edit too: comments, order and formatting stay as they are.

    Every method reads the file again, may wait for a lock and a disk, and raises SettingsError where the change makes
    no sense and another TrackerError where the file cannot be written; the file is then as it was.
    """

    def __init__(self, path: Path, lock_secs: float = LOCK_SECS) -> None:
        self.path = path
        self._lock_secs = lock_secs

    def read(self) -> Settings:
        """The settings as they are now."""
        return load(self.path)

    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raise what adding the account, or putting it in the place of that one, would; nothing is written."""
        change = partial(_add, account=account)
        if instead_of is not None:
            change = partial(_replace, name=instead_of, account=account)
        self._edited(self._content(), change)

    def add_account(self, account: Account) -> None:
        """Append the account; its name, and what metrics call it, must be new."""
        self._apply(partial(_add, account=account))

    def replace_account(
        self, name: str, account: Account, override: Override | None = None
    ) -> None:
        """Put the account in the place of the one of that name, and write only what differs.

        What the file says of the account's alerts goes on, also under a new name, unless there is an `override`.
        """
        self._apply(partial(_replace, name=name, account=account, override=override))

    def remove_account(self, name: str) -> None:
        """Drop the account; the active one stays the same, and is the first where it was this one."""
        self._apply(partial(_remove, name=name))

    def set_active(self, name: str) -> None:
        """Make the account the active one."""
        self._apply(partial(_activate, name=name))

    def _apply(self, change: Change) -> None:
        try:
            with locked(self.path, self._lock_secs):
                content = self._content()
                edited = self._edited(content, change)
                if edited == content:
                    return
                # Replacing a file asks nobody; one that its owner may not write is not meant to change.
                if self.path.exists() and not self.path.stat().st_mode & stat.S_IWUSR:
                    words = f"is read-only: chmod u+w {shlex.quote(str(self.path))}"
                    raise TrackerError(f"{self.path}: {words}")
                write_private(self.path, edited)
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be changed: {error.strerror}") from None

    def _content(self) -> bytes:
        try:
            return read_regular(self.path)
        except FileNotFoundError:
            return b""

    def _edited(self, content: bytes, change: Change) -> bytes:
        """The new content, which says what is meant, and nothing else."""
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        settings = parse(content, self.path)
        meant, text = change(settings, content.removeprefix(mark).decode())
        edited = mark + text.encode()
        try:
            done = parse(edited, self.path) == meant
        except SettingsError:
            done = False
        if not done:
            raise SettingsError(
                f"{self.path}: this change cannot be made in a file written like this: give each account "
                "an [[accounts]] table and the other settings their [table], or change it by hand"
            )
        return edited


# Changes


def _add(settings: Settings, text: str, account: Account) -> tuple[Settings, str]:
    _check(account, settings.accounts, settings)
    accounts = (*settings.accounts, account)
    return replace(settings, accounts=accounts), _with_account(text, account)


def _replace(
    settings: Settings, text: str, name: str, account: Account, override: Override | None = None
) -> tuple[Settings, str]:
    index = _index(settings, name)
    accounts = list(settings.accounts)
    old = _values(accounts.pop(index))
    _check(account, accounts, settings)
    accounts.insert(index, account)
    changed = {key: value for key, value in _values(account).items() if value != old[key]}
    before = settings.overrides.get(name, Override())
    if override is not None and override != before:
        was = _exceptions(before)
        changed |= {k: value for k, value in _exceptions(override).items() if value != was[k]}
    text = _with_values(text, ("accounts", index), changed)
    meant, text = _renamed_in_rules(settings, text, name, account.name)
    overrides = dict(meant.overrides)
    if override is not None:
        overrides.pop(account.name, None)
        overrides |= {account.name: override} if override != Override() else {}
    return replace(meant, accounts=tuple(accounts), overrides=overrides), text


def _remove(settings: Settings, text: str, name: str) -> tuple[Settings, str]:
    index, active = _index(settings, name), settings.active_account
    text = _without_account(text, index)
    # One that lies outside of the accounts is left alone.
    if index <= active < len(settings.accounts):
        active = 0 if active == index else active - 1
    accounts = settings.accounts[:index] + settings.accounts[index + 1 :]
    overrides = {other: o for other, o in settings.overrides.items() if other != name}
    meant = replace(settings, accounts=accounts, overrides=overrides)
    return _with_active(meant, text, active)


def _activate(settings: Settings, text: str, name: str) -> tuple[Settings, str]:
    return _with_active(settings, text, _index(settings, name))


def _with_active(settings: Settings, text: str, active: int) -> tuple[Settings, str]:
    if active != settings.active_account:
        text = _with_values(text, ("settings",), {"active_account": active})
    return replace(settings, active_account=active), text


def _index(settings: Settings, name: str) -> int:
    names = [account.name for account in settings.accounts]
    if name not in names:
        raise SettingsError(f"there is no account {name!r}: see `monitor accounts list`")
    return names.index(name)


def _check(account: Account, others: list[Account] | tuple[Account, ...], all_: Settings) -> None:
    """Raise SettingsError where this account cannot stand in the file beside the others."""
    ACCOUNT(_given(_values(account)))
    check_unique(account, {each.name for each in others}, {each.title for each in others})
    for key, entry in all_.channels.entries.items():
        if entry == account.name:  # whose token the channel would send
            raise SettingsError(
                f"channels.{key} uses the keyring entry {entry!r} already: choose another name"
            )


def _values(account: Account) -> dict[str, Value | None]:
    """An account as the file has it; None is for a key that is not there."""
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
    """The exceptions for an account's alerts, as the file has it."""
    percents = override.thresholds and tuple(round(ratio * 100, 6) for ratio in override.thresholds)
    return {
        "thresholds": percents and tuple(int(p) if p == int(p) else p for p in percents),
        "silent": tuple(sorted(map(str, override.silent))) or None,
    }


def _renamed_in_rules(settings: Settings, text: str, old: str, new: str) -> tuple[Settings, str]:
    """The settings and their text with the new name wherever rules and exceptions know the account by the old one."""
    rules = dict(settings.notifications.rules)
    for kind, rule in rules.items():
        if old != new and rule.accounts and old in rule.accounts:
            at = rule.accounts.index(old)
            names = (*rule.accounts[:at], new, *rule.accounts[at + 1 :])
            rules[kind] = replace(rule, accounts=names)
            path = ("notifications", "rules", str(kind))
            text = _with_table(text, path, partial(_set_item, "accounts", at, new))
    overrides = {new if name == old else name: o for name, o in settings.overrides.items()}
    notifications = replace(settings.notifications, rules=rules)
    return replace(settings, notifications=notifications, overrides=overrides), text


# Texts


def _with_values(text: str, table: KeyPath, values: Mapping[str, Value | None]) -> str:
    """The text with these values in the table, which is made at the end where it is missing; None removes a key."""
    import tomlkit

    place = places_in(text).get(table)
    if place is None:
        return _with_block(text, len(text), {str(table[-1]): _given(values)})
    indent = re.match(r"[ \t]*", text[_line_start(text, place.end) :])

    def change(found: Any) -> None:
        for key in values.keys() - _given(values).keys():
            found.pop(key, None)
        for key, value in _given(values).items():
            if key in found:
                found[key] = value
            else:
                item = tomlkit.item(value)
                item.trivia.indent = indent[0] if indent else ""
                item.trivia.trail = _newline(text)
                found.append(key, item)

    return _with_table(text, table, change)


def _with_table(text: str, table: KeyPath, change: Callable[[Any], None]) -> str:
    """The text with the table changed; as it was where tomlkit cannot do that, which is found out afterwards."""
    import tomlkit  # only when something is written: it takes as long to import as all the rest
    from tomlkit.exceptions import TOMLKitError

    place = places_in(text)[table]
    alone = place.is_header(text)
    start, end = (place.start, _line_end(text, place.end)) if alone else (0, len(text))
    try:
        document = tomlkit.parse(text[start:end])
        if document.as_string() != text[start:end]:
            return text
        found: Any = document
        for part in table:
            found = found[0 if alone and isinstance(part, int) else part]
        change(found)
    except TOMLKitError:
        return text
    return text[:start] + document.as_string() + text[end:]


def _set_item(key: str, at: int, value: Value, table: Any) -> None:
    table[key][at] = value


def _with_account(text: str, account: Account) -> str:
    """The account as one more `[[accounts]]` table, below the last of them and the comments that follow it."""
    places = places_in(text).items()
    ends = [place.end for path, place in places if path[0] == "accounts" and len(path) == 2]
    at = len(text)
    if ends:
        at = _line_end(text, max(ends))
        while comment := re.compile(r"[ \t]*#[^\n]*(?:\n|\Z)").match(text, at):
            at = comment.end()
    return _with_block(text, at, {"accounts": [_given(_values(account))]})


def _without_account(text: str, index: int) -> str:
    """The text without the account's table, and without the comment that is its heading.

    All other comments above and below the table stay: they may be about others.
    """
    place = places_in(text)[("accounts", index)]
    before, after = text[: _line_start(text, place.start)], text[_line_end(text, place.end) :]
    # Comments that a blank line stands above are about what follows them.
    before = re.sub(r"(?<=\n)([ \t]*\r?\n)(?:[ \t]*#[^\n]*\n)+\Z", r"\1", before)
    if not before or _ends_blank(before):
        after = re.sub(r"\A(?:[ \t]*\r?\n)+", "", after)
    return before + after


def _with_block(text: str, at: int, block: Mapping[str, Any]) -> str:
    """One more table between blank lines, but not more of them than are needed."""
    import tomlkit

    newline = _newline(text)
    before, after = text[:at], text[at:]
    if before and not before.endswith("\n"):
        before += newline
    above = newline if before.strip() and not _ends_blank(before) else ""
    below = newline if re.match(r"[ \t]*[^\s]", after) else ""
    return before + above + tomlkit.dumps(block).replace("\n", newline) + below + after


def _given(values: Mapping[str, Value | None]) -> dict[str, Any]:
    """The values as TOML has them, without those that are to go."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
        if value is not None
    }


def _ends_blank(text: str) -> bool:
    return bool(re.search(r"\n[ \t]*\r?\n\Z", text))


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    """After the line's end, which may be that of the text."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
