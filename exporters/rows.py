"""The accounts as label values: each with a title that no other has, and in characters that a scraper can read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from monitor.core.model import AccountState, Window
from monitor.core.state import State

_UNSPEAKABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no scraper can read in a label value, and what would cost it the whole page."""


@dataclass(frozen=True, slots=True)
class Row:
    """One account at one instant. `title` is its `account` label, which no other account has."""

    title: str
    account: AccountState
    logged_in: bool
    fresh: bool
    now: datetime

    @property
    def name(self) -> str:
        return self.account.account.name

    @property
    def windows(self) -> dict[str, Window]:
        """The windows by their label; none where the values are too old to be shown."""
        if not self.fresh:
            return {}
        return {label_text(window.key): window for window in self.account.windows(self.now)}


def account_rows(state: State, now: datetime) -> list[Row]:
    titles = unique([label_text(a.account.title) for a in state.accounts.values()])
    return [
        Row(
            title,
            account,
            logged_in=name == state.logged_in,
            fresh=account.values_are_fresh(now, state.policy.interval),
            now=now,
        )
        for title, (name, account) in zip(titles, state.accounts.items(), strict=True)
    ]


def unique(titles: Sequence[str]) -> list[str]:
    """The titles, a repeated one numbered from its second use: `work`, `work (2)`."""
    taken: dict[str, None] = {}
    for title in titles:
        new, number = title, 1
        while new in taken:
            number += 1
            new = f"{title} ({number})"
        taken[new] = None
    return list(taken)


def label_text(text: str) -> str:
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
