"""What a key asks the program to do: values, so that deciding and doing stay apart."""

from dataclasses import dataclass

from monitor.core.model import Secret


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave the table."""


@dataclass(frozen=True, slots=True)
class Redraw:
    """Draw the whole screen anew; something else wrote on it."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """New figures of one account, or (None) of all."""

    account: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """Take over the logins of Claude Code."""


@dataclass(frozen=True, slots=True)
class Add:
    """A new account by its session key."""

    name: str
    session_key: Secret
    org_id: str


@dataclass(frozen=True, slots=True)
class Edit:
    """An account's new name and organization, and its new session key where one was typed."""

    name: str
    new_name: str
    session_key: Secret | None
    org_id: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Watch the account no more."""

    name: str


@dataclass(frozen=True, slots=True)
class Use:
    """Mark the account as the active one."""

    name: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Tell no alerts for an hour; where they are muted, tell them again."""


Quick = Refresh | Mute
"""Orders that are answered at once, or nearly: any number of them, in their order."""

Slow = Import | Add | Edit | Remove | Use
"""Orders that take their time; one of them at once."""

Order = Quit | Redraw | Quick | Slow
