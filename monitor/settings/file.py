"""The one door to changing the settings file: under a lock, whole or not at all, never into one that does not load."""

import codecs
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from monitor.core.errors import SettingsError, TrackerError
from monitor.core.model import Account
from monitor.settings import edit
from monitor.settings.checks import check_account, check_not_an_entry
from monitor.settings.load import load, parse
from monitor.settings.model import Settings
from monitor.settings.renaming import renamed_in_rules
from monitor.system.files import locked, write_private

Change = Callable[[Settings, str], tuple[Settings, str]]
"""From the settings and their text to the settings that are meant and the text that is to say so."""


class SettingsFile:
    """A settings file that people edit too: comments, order and formatting stay as they are.

    Every method reads the file anew, may block for some milliseconds, and raises SettingsError where the change
    makes no sense and another TrackerError where the file cannot be written; the file is then as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Settings:
        return load(self.path)

    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raise what adding the account, or putting it in the place of that one, would; nothing is written."""
        change = _addition(account) if instead_of is None else _exchange(instead_of, account)
        self._edited(self._content(), change)

    def add_account(self, account: Account) -> None:
        """Append the account; its name, and what metrics call it, must be new."""
        self._apply(_addition(account))

    def replace_account(self, name: str, account: Account) -> None:
        """Put the account in the place of the one of that name, and write only what differs.

        What the file says of the account's alerts goes on, also under a new name.
        """
        self._apply(_exchange(name, account))

    def remove_account(self, name: str) -> None:
        """Drop the account; the active one stays the same, and is the first where it was this one."""

        def change(settings: Settings, text: str) -> tuple[Settings, str]:
            index = _index(settings, name)
            before, _, after = _split(settings.accounts, index)
            active = _active_without(settings, index)
            edited = edit.without_account(text, index)
            if active != settings.active_account:
                edited = edit.with_values(edited, ("settings",), {"active_account": active})
            others = {other: o for other, o in settings.overrides.items() if other != name}
            meant = replace(settings, accounts=before + after, overrides=others)
            return replace(meant, active_account=active), edited

        self._apply(change)

    def set_active(self, name: str) -> None:
        """Make the account the active one."""

        def change(settings: Settings, text: str) -> tuple[Settings, str]:
            index = _index(settings, name)
            if index == settings.active_account:
                return settings, text
            edited = edit.with_values(text, ("settings",), {"active_account": index})
            return replace(settings, active_account=index), edited

        self._apply(change)

    def _apply(self, change: Change) -> None:
        with self._turn():
            content = self._content()
            edited = self._edited(content, change)
            if edited != content:
                self._refuse_read_only()
                write_private(self.path, edited)

    def _refuse_read_only(self) -> None:
        """Replacing a file asks nobody; one that its owner may not write is not meant to change."""
        if self.path.exists() and not self.path.stat().st_mode & stat.S_IWUSR:
            words = f"is read-only: chmod u+w {shlex.quote(str(self.path))}"
            raise TrackerError(f"{self.path}: {words}")

    def _edited(self, content: bytes, change: Change) -> bytes:
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        settings = parse(content, self.path)
        meant, text = change(settings, content.removeprefix(mark).decode())
        edited = mark + text.encode()
        self._check(edited, meant)
        return edited

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            with locked(self.path):
                yield
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be changed: {error.strerror}") from None

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _check(self, edited: bytes, meant: Settings) -> None:
        """Nothing is written that would not load, or would say something else than what was meant."""
        try:
            done = parse(edited, self.path) == meant
        except SettingsError:
            done = False
        if not done:
            raise SettingsError(
                f"{self.path}: this change cannot be made in a file written like this: give each account "
                "an [[accounts]] table and the other settings their [table], or change it by hand"
            )


def _addition(account: Account) -> Change:
    def change(settings: Settings, text: str) -> tuple[Settings, str]:
        check_account(account, settings.accounts)
        check_not_an_entry(account, settings.channels.entries)
        accounts = (*settings.accounts, account)
        return replace(settings, accounts=accounts), edit.with_account(text, account)

    return change


def _exchange(name: str, account: Account) -> Change:
    def change(settings: Settings, text: str) -> tuple[Settings, str]:
        index = _index(settings, name)
        before, old, after = _split(settings.accounts, index)
        check_account(account, (*before, *after))
        check_not_an_entry(account, settings.channels.entries)
        known = edit.account_values(old)
        changed = {k: v for k, v in edit.account_values(account).items() if v != known[k]}
        edited = edit.with_values(text, ("accounts", index), changed)
        meant, edited = renamed_in_rules(settings, edited, name, account.name)
        return replace(meant, accounts=(*before, account, *after)), edited

    return change


def _index(settings: Settings, name: str) -> int:
    names = [account.name for account in settings.accounts]
    if name not in names:
        raise SettingsError(f"there is no account {name!r}: see `monitor accounts list`")
    return names.index(name)


def _split(
    accounts: tuple[Account, ...], index: int
) -> tuple[tuple[Account, ...], Account, tuple[Account, ...]]:
    return accounts[:index], accounts[index], accounts[index + 1 :]


def _active_without(settings: Settings, index: int) -> int:
    """The index of the active account once that one is gone; one that lies outside is left alone."""
    active = settings.active_account
    if active >= len(settings.accounts) or active < index:
        return active
    return 0 if active == index else active - 1
