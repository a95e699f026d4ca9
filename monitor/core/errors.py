"""Every expected failure, and the closed set of reasons why a poll can fail.

    TrackerError                 one line for the user, exit code 1
    ├── SettingsError            a wrong setting or usage, exit code 2
    ├── ApiError                 a request to Anthropic failed, with its Reason
    ├── CredentialError          no usable credential could be had, with its Reason
    │   └── NotLoggedInError     nobody is logged in where one looked
    └── ChannelError             one channel could not tell an alert (in `monitor.core.notify`)

Anything else that is raised is a bug.
"""

from datetime import timedelta
from enum import StrEnum


class Reason(StrEnum):
    """Why a poll failed; the words of the public interface."""

    AUTH = "auth"
    SCOPE = "scope"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER = "server"
    SCHEMA = "schema"
    CHALLENGE = "challenge"
    CREDENTIALS = "credentials"


class Cause(StrEnum):
    """What kept a credential from being had, for programs that give advice; the text says it to people."""

    ABSENT = "absent"
    """There is nothing in that place."""
    MCP_ONLY = "mcp_only"
    """There are logins of MCP servers, and none of Claude."""
    LOCKED = "locked"
    """The keyring or Keychain has to be unlocked first."""
    DENIED = "denied"
    """Somebody, or the system's rules, said no; asking again asks somebody anew."""
    SILENT = "silent"
    """No answer came in time: mostly a question on a screen that nobody looks at."""
    DAMAGED = "damaged"
    """Half-written, or not of the expected form."""
    EXPIRED = "expired"
    """Only a token that has ended."""
    REFUSED = "refused"
    """The API did not accept it."""
    UNIDENTIFIED = "unidentified"
    """There is a token, and nobody can be asked now whose it is."""
    NO_KEYRING = "no_keyring"
    """No keyring is to be had here."""
    MISSING = "missing"
    """A program that is needed cannot be found or started."""
    FAILED = "failed"
    """A program or library failed in a way of its own."""


class TrackerError(Exception):
    """An expected failure; its text is one line that says what is wrong, where, and what to do."""

    exit_code = 1


class SettingsError(TrackerError):
    """A setting or an argument that cannot be used."""

    exit_code = 2


class ApiError(TrackerError):
    """A request to Anthropic that brought no usable answer; the text never holds a part of the answer's secrets."""

    def __init__(
        self, reason: Reason, detail: str, *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class CredentialError(TrackerError):
    """No credential could be had for an account: nothing stored, expired, locked, or refused.

    A `renewable` one has only ended: Claude Code renews it as soon as it is used, without a new login.
    """

    def __init__(
        self,
        detail: str,
        *,
        reason: Reason = Reason.CREDENTIALS,
        cause: Cause | None = None,
        renewable: bool = False,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.cause = cause
        self.renewable = renewable


class NotLoggedInError(CredentialError):
    """There is no login in that place. Any other CredentialError says that this could not be found out."""

    def __init__(self, detail: str, *, cause: Cause = Cause.ABSENT) -> None:
        super().__init__(detail, cause=cause)
