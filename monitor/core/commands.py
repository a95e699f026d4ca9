"""Commands and queries of the user: one dataclass each, for a key's result, the line on the socket and the executor.

A command changes something, and is answered with one line for the user. A query is answered from the state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from monitor.core.alerts.rules import Override
from monitor.core.codec import decode, encode
from monitor.core.model import Secret

CURRENT: Final = ""
"""Stands for the name of the account that Claude Code would use now. No account has this name."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Poll one account, or (None) all, as soon as that is allowed."""

    account: str | None = None


@dataclass(frozen=True, slots=True)
class ToggleMute:
    """Mute alerts for an hour, or end the mute."""


@dataclass(frozen=True, slots=True)
class ImportLogins:
    """Import all logins of Claude Code, or that of one `folder`, "" being the default one.

    The answer has a line for each place, or where it is to be `brief`, one line of what matters.
    """

    folder: str | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True)
class AddAccount:
    """Watch an account that is read with a claude.ai session key."""

    name: str
    session_key: Secret
    org_id: str


@dataclass(frozen=True, slots=True)
class EditAccount:
    """Change an account. None keeps the session key, the label, the reserve or what is different for its alerts.

    An empty label, and an override of nothing, remove what there was.
    """

    name: str
    new_name: str
    org_id: str
    session_key: Secret | None = None
    label: str | None = None
    override: Override | None = None
    reserve: float | None = None


@dataclass(frozen=True, slots=True)
class RemoveAccount:
    """Watch the account no more, and delete its entry in the keyring."""

    name: str


@dataclass(frozen=True, slots=True)
class UseAccount:
    """Mark the account as the active one."""

    name: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings file again, whole or not at all."""


@dataclass(frozen=True, slots=True)
class SendTest:
    """Send a test alert by every channel, and say for each what became of it, in a line."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """Take the figures that Claude Code gave its status line; `document` is its JSON, None where there was none.

    `config_dir` is the folder of that Claude Code, None for the default one. With a `format` the answer is the
    account's line in it, else its name.
    """

    document: Mapping[str, Any] | None
    config_dir: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Ask for the table, JSON, a textfile of metrics, or (with a `format`) lines: of one account, or (None) of all.

    With `watch` it asks for a stream: of a line of each account, every second, or of one of JSON at each change.
    """

    form: str = "table"
    account: str | None = None
    format: str | None = None
    columns: int = 120
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """Ask which account to use now, in words, all of them ranked, or as json, name or config-dir.

    With a `model` its own week counts, too; with a `plan`, a duration such as `12h`, the answer is what to use when, in
    so much time from now, in lines of at most `columns` cells.
    """

    form: str = "words"
    model: str | None = None
    plan: str | None = None
    columns: int = 1000


@dataclass(frozen=True, slots=True)
class Guard:
    """Ask for room in an account (None is the current one) and a window (None is any): at most this ratio used.

    Or, with a `need` in points (percents of a 5-hour window), whether that fits with this probability (None: 0.8).
    """

    account: str | None = None
    window: str | None = None
    max_utilization: float = 1.0
    need: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Ask in which folder a command is to run: that of the account, or (None) of the one to use now.

    The answer is a JSON object; without room (at or above this ratio) it is a refusal, unless it is to `force`.
    """

    account: str | None = None
    max_utilization: float = 1.0
    force: bool = False


@dataclass(frozen=True, slots=True)
class WatchState:
    """Ask for the whole state, and then for each change of it."""


@dataclass(frozen=True, slots=True)
class Who:
    """Ask which process it is that polls: pid, version, and where its metrics are."""


Command = (
    Refresh
    | ToggleMute
    | ImportLogins
    | AddAccount
    | EditAccount
    | RemoveAccount
    | UseAccount
    | Reload
    | SendTest
    | Ingest
)
StateQuery = Status | Next | Guard | Run
"""Those that one look at the state answers, unless `watch` asks for a stream."""

Query = StateQuery | WatchState | Who
Request = Command | Query


class Reply(NamedTuple):
    """An exit code, and the text for standard output, or (of another code than 0) one line for standard error."""

    code: int
    text: str = ""


def encode_request(request: Request) -> dict[str, Any]:
    """Make the JSON object that stands for it on the socket, secrets included: it is for that socket alone."""
    plain: dict[str, Any] = encode(Request, request, secrets=True)
    return plain


def decode_request(plain: object) -> Request:
    """Read the request that the JSON object stands for. Raises ValueError."""
    request: Request = decode(Request, plain, secrets=True)
    return request
