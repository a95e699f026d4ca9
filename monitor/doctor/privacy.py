"""Makes findings fit to be shown to strangers: no name of an account, no home folder, nothing that looks like a token.

No check puts a token into its words; this is the second lock on that door.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from monitor.core.model import Account
from monitor.doctor.check import Check

_EMAIL: Final = re.compile(r"[\w.+%-]+@(?:[\w-]+\.)+[\w-]+")
_TOKEN: Final = re.compile(r"sk-[\w-]{3,}|eyJ[\w.-]{10,}|[A-Za-z0-9_+=-]{40,}")
_HIDDEN: Final = "…"


class Privacy:
    """What is to be hidden: the home folder, and these names beside every e-mail address."""

    def __init__(self, home: str, names: Iterable[str] = ()) -> None:
        self._home = home.rstrip("/\\")
        self._names = sorted(set(names), key=len, reverse=True)

    def check(self, check: Check) -> Check:
        """The check as it may be shown."""
        fix = None if check.fix is None else self.text(check.fix)
        return replace(check, found=self.text(check.found), fix=fix)

    def text(self, text: str) -> str:
        """On one line, without anything that a terminal would obey."""
        text = _TOKEN.sub(_HIDDEN, "".join(c if c.isprintable() else " " for c in text))
        for name in self._names:
            text = text.replace(f"'{name}'", f"'{masked(name)}'")
        return self._homeless(_EMAIL.sub(lambda found: masked(found[0]), text))

    def _homeless(self, text: str) -> str:
        if not self._home:
            return text
        text = text.replace(f"'{self._home}/", "~/'")  # a shell knows no ~ within quotes
        return re.sub(rf"(?<![\w/]){re.escape(self._home)}(?=[/\\]|[^\w.-]|$)", "~", text)


def masked(name: str) -> str:
    """A name that its owner recognises: `u…@example.com`, with the first letter of what follows in brackets."""
    user, at, rest = name.partition("@")
    host, _, organization = rest.partition(" ")
    if not at:
        return f"{name[:1]}{_HIDDEN}"
    return f"{user[:1]}{_HIDDEN}@{host}{f' ({organization[1:2]}{_HIDDEN})' if organization else ''}"


def title(place: int, account: Account) -> str:
    """What an account is called here: its place in the settings from 1 on, and its label or masked name."""
    return f"account {place} ({account.label or masked(account.name)})"
