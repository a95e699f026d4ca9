"""Every expected failure: a closed set of reasons and causes, and the sentence that each becomes at the edge.

    TrackerError                 one line for the user, exit code 1
    ├── SettingsError            a wrong setting or usage, exit code 2
    ├── ApiError                 a request to Anthropic failed, with its Failure
    ├── CredentialError          no usable credential could be had, with its Failure
    │   └── NotLoggedInError     no login where one looked
    ├── ChannelError             one channel could not send an alert, with its ChannelReason
    ├── NoFolderError            there can be no lock and no socket
    └── SilentLeaderError        the process that polls does not answer

Anything else that is raised is a bug. Programs branch on `Failure.reason` and `Failure.cause`; people read
`describe(failure)`, which says what is wrong, and after a colon what to do about it.
"""

import re
import shlex
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self


class Reason(StrEnum):
    """The reason why a poll failed; the words of the public interface."""

    AUTH = "auth"
    SCOPE = "scope"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER = "server"
    SCHEMA = "schema"
    CHALLENGE = "challenge"
    CREDENTIALS = "credentials"
    BLOCKED = "blocked"
    """Something on the way answered instead of the API."""
    REFUSED = "refused"
    """The API knows the login, and its organization or its place may not use it."""


class Source(StrEnum):
    """The place in which a credential was looked for."""

    KEYRING = "keyring"
    KEYCHAIN = "keychain"
    """Claude Code's item in the macOS Keychain."""
    FILE = "file"
    """Claude Code's `.credentials.json`, or another program's file that holds a token."""
    CLAUDE_JSON = "claude_json"
    SYSTEMD = "systemd"
    COMMAND = "command"
    CSWAP = "cswap"
    LOGIN = "login"
    """A login of Claude Code, wherever it keeps it."""
    SESSION_KEY = "session_key"
    """A key that the user has typed in."""


class Cause(StrEnum):
    """Keeps a credential from being had, or an answer from being used; the table of sentences has its words."""

    ABSENT = "absent"
    MCP_ONLY = "mcp_only"
    LOCKED = "locked"
    NO_COLLECTION = "no_collection"
    """The keyring is locked, or was never set up."""
    DENIED = "denied"
    """Somebody, or the system's rules, said no; asking again asks somebody anew."""
    CANCELLED = "cancelled"
    NOT_STORED = "not_stored"
    NOT_DELETED = "not_deleted"
    NOT_KEPT = "not_kept"
    """The keyring took the entry, and has another one now."""
    SILENT = "silent"
    """No answer came in time: mostly a question on a screen that nobody looks at."""
    INTERRUPTED = "interrupted"
    """It was asked, and ended before it answered."""
    DAMAGED = "damaged"
    """Half-written, or not of the expected form."""
    TOO_LARGE = "too_large"
    ODD_KEY = "odd_key"
    """The typed key could not be sent in a header."""
    EXPIRED = "expired"
    """Only a token that has ended, and that Claude Code does not renew."""
    WAITING = "waiting"
    """The token has ended; Claude Code renews it as soon as it is used, without a new login."""
    LOGIN_ENDED = "login_ended"
    """Claude Code itself cannot renew the token any more."""
    LOGGED_OUT = "logged_out"
    OTHER_LOGIN = "other_login"
    REFUSED = "refused"
    NO_SCOPE = "no_scope"
    """The token may not read usage: that of `claude setup-token`, mostly."""
    FORBIDDEN = "forbidden"
    ALIEN = "alien"
    """The answer cannot be the API's: a page, or what a proxy says."""
    WRONG_ORGANIZATION = "wrong_organization"
    NO_ORGANIZATION = "no_organization"
    WRONG_ACCOUNT = "wrong_account"
    UNIDENTIFIED = "unidentified"
    """There is a token, and nobody can be asked now whose it is."""
    NOT_ASKED = "not_asked"
    NO_LIMITS = "no_limits"
    """The answer holds no limit, where limits were known."""
    LEFT_OUT = "left_out"
    """There was usage, but not every figure of it could be read."""
    NO_HOST = "no_host"
    UNREACHED = "unreached"
    UNTRUSTED = "untrusted"
    """The host's certificate is not trusted: it has ended, or something on the way has put its own in place of it."""
    NO_TLS = "no_tls"
    PROXY_DOWN = "proxy_down"
    PROXY_LOGIN = "proxy_login"
    PROXY_REFUSED = "proxy_refused"
    PROXY_ODD = "proxy_odd"
    SOCKS = "socks"
    LATE = "late"
    NOT_HTTP = "not_http"
    CUT = "cut"
    UNSENT = "unsent"
    NO_KEYRING = "no_keyring"
    MISCONFIGURED = "misconfigured"
    """The user has named a keyring that cannot be used; `name` is one that may not be."""
    MISSING = "missing"
    NOT_STARTED = "not_started"
    UNSET = "unset"
    FAILED = "failed"
    """A program, library or file failed in a way of its own."""


UNLOCKABLE: Final = frozenset({Cause.LOCKED, Cause.NO_COLLECTION})
"""The keyring can be used once its owner unlocks it."""

KEYRINGLESS: Final = frozenset({Cause.NO_KEYRING, Cause.MISCONFIGURED})
"""There is no keyring to be used."""

NEVER_CONNECTED: Final = frozenset(
    {
        Cause.NO_HOST,
        Cause.UNREACHED,
        Cause.PROXY_DOWN,
        Cause.PROXY_LOGIN,
        Cause.PROXY_REFUSED,
    }
)
"""After one of these the host has seen nothing of the request."""

REJECTED: Final = frozenset({Cause.DENIED, Cause.CANCELLED})
"""Asking again would ask somebody anew."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason for there being no usage or no credential; without a cause, `reason` and `detail` say all.

    `name` is that of the file, program, item or account that it is about. `folder` is the configuration folder of
    Claude Code that helps: "" is the default one, None that nobody knows. `owner` is the account whose login or token
    it is. `detail` is the other side's own words; it never holds a secret.
    """

    reason: Reason
    cause: Cause | None = None
    source: Source | None = None
    name: str = ""
    folder: str | None = None
    owner: str | None = None
    detail: str = ""
    retry_after: timedelta | None = None

    @property
    def renewable(self) -> bool:
        """True if the credential has only ended, and Claude Code renews it as soon as it is used."""
        return self.cause is Cause.WAITING


class TrackerError(Exception):
    """An expected failure; its text is one line that says what is wrong, where, and what to do."""

    exit_code = 1


class SettingsError(TrackerError):
    """A setting or an argument that cannot be used.

    `advice` is what to do, where the `problem` alone does not say so; the `excerpt` are lines of the file, to be shown
    below the text where there is room for more than one line.
    """

    exit_code = 2

    def __init__(self, problem: str, *, advice: str = "", excerpt: str = "") -> None:
        super().__init__(f"{problem}: {advice}" if advice else problem)
        self.problem = problem
        self.advice = advice
        self.excerpt = excerpt


class FailureError(TrackerError):
    """Polls and credentials fail with one of these."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return describe(self.failure)

    @property
    def reason(self) -> Reason:
        return self.failure.reason

    @property
    def cause(self) -> Cause | None:
        return self.failure.cause


class ApiError(FailureError):
    """A request to Anthropic that brought no usable answer; it never holds a part of the answer's secrets."""


class CredentialError(FailureError):
    """No credential could be had for an account: nothing stored, expired, locked, or refused."""

    @classmethod
    def of(
        cls,
        cause: Cause,
        source: Source | None = None,
        name: str = "",
        detail: str = "",
        *,
        reason: Reason = Reason.CREDENTIALS,
    ) -> Self:
        """Make one of the fields of a `Failure`."""
        return cls(Failure(reason, cause, source, name, detail=detail))


class NotLoggedInError(CredentialError):
    """There is no login in that place. Any other CredentialError says that this could not be found out."""


class ChannelReason(StrEnum):
    """The reason why a channel could not send an alert; the words of the metrics."""

    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    """Nobody is there to send it."""
    NO_CAPABILITY = "no_capability"
    """Somebody is there who would drop it."""
    DENIED = "denied"
    """The user has forbidden notifications."""
    ERROR = "error"
    INTERRUPTED = "interrupted"
    """The program ended meanwhile."""


class ChannelError(TrackerError):
    """A channel did not send an alert; `detail` is one line for people."""

    def __init__(self, reason: ChannelReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NoFolderError(TrackerError):
    """The system lets us have no folder for lock and socket, so no monitor can run."""


class SilentLeaderError(TrackerError):
    """Another process polls, and does not answer in time: it is stopped, or does not get round to it."""


def describe(failure: Failure) -> str:
    """One sentence for people: what is wrong, and after a colon what to do about it."""
    problem, advice = explain(failure)
    return f"{problem}: {advice}" if advice else problem


def explain(failure: Failure) -> tuple[str, str]:
    """Say what is wrong, and what to do about it; the second is empty where that is not known."""
    if failure.cause is None:
        problem, advice = _REASONS.get(failure.reason, ("", ""))
        return (failure.detail, "") if failure.detail or not problem else (problem, advice)
    problem, advice = (
        _SENTENCES.get((failure.cause, failure.source))
        or _SENTENCES.get((failure.cause, None))
        or (f"{failure.source or 'the credential'} failed ({failure.cause})", "")
    )
    fields = {
        "name": failure.name,
        "detail": failure.detail,
        "owner": failure.owner,
        "at": failure.folder or "~/.claude",
        "claude": f"`{command(failure.folder)}`",
        "there": "`claude` where this account is logged in"
        if failure.folder is None
        else f"`{command(failure.folder)}`",
        "login": of_login(failure.folder),
        "linked": _OR_LINKED,
    }
    if failure.cause is Cause.OTHER_LOGIN and failure.owner is None:
        problem = "the login in {at} is not known to be this account's"
    return problem.format_map(fields), advice.format_map(fields)


def command(folder: str | None) -> str:
    """Write the shell command that starts Claude Code in this folder; "" and None are the default one."""
    return f"CLAUDE_CONFIG_DIR={shlex.quote(folder)} claude" if folder else "claude"


def of_login(folder: str | None) -> str:
    """Write how to start Claude Code with a login that was found; `folder` is None where that is not known."""
    if folder is None:
        return "`claude` with the CLAUDE_CONFIG_DIR of this login, which is not known here"
    return f"`{command(folder)}`"


_REASONS: Final = {
    Reason.RATE_LIMITED: ("rate limited by the API (HTTP 429)", ""),
    Reason.CHALLENGE: (
        "Cloudflare asks for a browser; the key may well be good",
        "import the account from Claude Code instead",
    ),
}

_OR_LINKED: Final = 'or read Claude Code\'s own logins, by storage = "linked" in the settings'

_TABLE: Final = r"""
# An account's login, wherever Claude Code keeps it.
waiting                   waiting for Claude Code: run {there}
login_ended               Claude Code's login has ended: run {there} and use /login
logged_out                logged out: run {claude} and use /login
absent login              no login found yet: run {claude} and use /login
other_login               {at} contains the login of {owner!r}: run {claude} and use /login, or correct config_dir in
                          the settings
expired login             the token there has expired: run {login}, then import again
unidentified              it cannot be asked now whose the new login is ({detail})
not_asked                 it cannot be asked whose token this is (api.enabled is false)
not_asked claude_json     Claude Code's .claude.json does not say whose login this is, and api.enabled is false
no_scope                  the token may not read usage (a setup-token cannot): log in by `claude` /login

# What the API says of a credential.
refused                   the API refused the login (it has expired or was revoked)
refused session_key       claude.ai refused the session key (it has expired, or is of another account)
forbidden                 the API does not allow it ({detail}): ask the organization's administrator
alien                     something on the way answered instead of the API ({detail}): look at the proxy, the VPN or
                          the network's login page

# The way to a host.
no_host                   {name} cannot be found (no network, or no DNS): check the network; `ping -c 1 {name}`
                          says whether the name is found
unreached                 {name} cannot be reached{detail}: check the network, the VPN and the firewall
untrusted                 certificate not trusted ({name}, {detail}): if this is a corporate TLS proxy, run `export
                          NODE_EXTRA_CA_CERTS=/path/to/company-ca.pem`
no_tls                    no TLS with {name}, what answers there uses another protocol: correct HTTPS_PROXY, or
                          api.url in the settings
proxy_down                the proxy {name} cannot be reached: correct HTTPS_PROXY, or unset it
proxy_login               the proxy {name} wants a login (HTTP 407): put it into the variable, as in `export
                          HTTPS_PROXY=http://USER:PASSWORD@{name}:PORT`
proxy_refused             the proxy refused a connection to {name} ({detail}): ask for that host to be allowed, or go
                          around the proxy by `export NO_PROXY={name}`
proxy_odd                 HTTPS_PROXY or ALL_PROXY names no proxy that can be used: write it as http://HOST:PORT, or
                          as HOST:PORT
socks                     SOCKS proxies are not supported: name an HTTP proxy in HTTPS_PROXY, or go around it by
                          `export NO_PROXY={name}`
late                      no answer of {name}{detail}: check the network, the VPN and the firewall
not_http                  what {name} answered is not HTTP: see whether api.url in the settings is meant
cut                       {name} ended the connection before it had answered: if that stays so, look at the proxy, the
                          VPN and the firewall
unsent                    no request can be made to {name}: check the address, and the token or key
no_organization           the answer does not say whose usage it is
wrong_organization        the login belongs to another organization than org_id in the settings says: correct org_id,
                          or import the account again
wrong_organization session_key
                          the session key is not of the organization that org_id in the settings names: correct org_id
                          by `monitor accounts edit`
no_limits                 the answer contains no figures: the last ones are kept until it does
left_out                  some of its figures could not be read ({detail})
wrong_account             the token that is given for {name!r} is of {owner}, which is another account

# Where the account might have its token, and has none.
absent session_key        no session key in the keyring: press e to enter it
no_keyring login          no system keyring available: unlock or start a keyring, or give the account storage =
                          "linked" (read live from Claude Code), a token_command, or a systemd credential of its name
no_keyring session_key    no system keyring available: unlock or start a keyring, or give the account a token_command,
                          or a systemd credential of its name
odd_key                   the key contains a space or an odd character: copy it again

# The keyring.
no_keyring                no keyring answers here: start GNOME Keyring (`gnome-keyring-daemon --start`), KWallet or
                          KeePassXC, or log in to the desktop, {linked}; nothing is ever stored in plaintext
misconfigured             the keyring that PYTHON_KEYRING_BACKEND or keyringrc.cfg names does not work here: start it,
                          or take it out there, {linked}
misconfigured keyring     {name} is configured, but only the system's own keyring is used, never plaintext: `unset
                          PYTHON_KEYRING_BACKEND`, and take it out of keyringrc.cfg (`keyring diagnose` says where that
                          is), {linked}
locked                    your keyring is locked: unlock it (log in to the desktop, or open its password manager),
                          {linked}
no_collection             your keyring is locked, or has no default collection: unlock or make one in its password
                          manager, {linked}
denied keyring            macOS does not let this Python use the Keychain: allow it in Keychain Access, or use a
                          Python that is signed, {linked}
not_stored                your keyring refused to store the entry: unlock it, or see whether it is full, {linked}
not_deleted               your keyring refused to delete the entry: do so in its password manager
not_kept                  your keyring does not keep what is written: use another one
silent keyring            your keyring does not answer: close the question that it may have opened, or restart it,
                          {linked}
damaged keyring           the entry in the keyring is not a token: import or enter it again
failed keyring            your keyring failed ({detail}): look whether it works at all, {linked}
silent                    {detail}

# The macOS Keychain, through `security`.
absent keychain           Claude Code is not logged in: start `claude` and use /login
locked keychain           the Keychain is locked: run `security unlock-keychain`, or start this from the desktop
no_keyring keychain       there is no login Keychain in this session: start this from the desktop
denied keychain           the Keychain refuses access: in Keychain Access, under Access Control of the item 'Claude
                          Code-credentials', allow /usr/bin/security; or `claude` and /login, which writes it again
cancelled                 the Keychain's question was cancelled: try again, and answer it by 'Always Allow'
silent keychain           the Keychain is silent: answer the question that waits on the Mac's own screen by 'Always
                          Allow', and try again in a minute
too_large keychain        the Keychain item is too large: look what it is
not_started keychain      {name} cannot be run ({detail}): look whether it is there
failed keychain           `security` failed with exit code {detail}: `security list-keychains` says whether the
                          Keychain works at all

# Files of Claude Code.
absent                    {name} contains no login: start `claude` and use /login
mcp_only                  {name} contains only logins of MCP servers: start `claude` and use /login
absent file               Claude Code is not logged in at {name}: start `claude` there and use /login
damaged                   half-written or damaged: {detail}look at {name}, or have `claude` write it again by /login
absent claude_json        there is no {name}: start `claude` once
damaged claude_json       {name} is half-written or damaged: {detail}start `claude` there, which writes it
too_large file            too large to be what it is named for: look what {name} is
silent file               cannot be read (the disk is silent): look what and whose {name} is
denied file               cannot be read ({detail}): look what and whose {name} is
failed file               cannot be read ({detail}): look what and whose {name} is

# What systemd hands over.
absent systemd            there is no systemd credential {name!r}: name it in the unit
                          (LoadCredentialEncrypted={name}:...), and restart it
damaged systemd           the credential {name!r} in $CREDENTIALS_DIRECTORY is not a token: encrypt it again
expired systemd           the token has expired: renew the systemd credential

# The user's own program.
expired command           the token command {name} prints a token that has expired: give it a new one
refused command           the token command {name} prints a token that was refused: give it a new one
unset command             {name!r} has storage = "command", but no token_command: give it one
missing command           the token command {name} is not on the PATH, or not a program: install it
not_started command       the token command {name} cannot be started ({detail}): try it by hand
silent command            the token command {name} took longer than {detail} and was ended: it may be waiting for a
                          passphrase: unlock what it reads first
too_large command         the token command {name} prints more than a token: let it print that alone
damaged command           the token command {name} prints no token: the first line must be one, or all of it JSON
failed command            the token command {name} {detail}: run it by hand in a terminal to see why
interrupted command       the token command was interrupted: wait for a minute

# claude-swap.
missing cswap             {name} is not on the PATH: install claude-swap, or import from Claude Code
not_started cswap         {name} cannot be started ({detail}): reinstall claude-swap
silent cswap              `{name} list` took longer than {detail} and was ended: try it by hand
damaged cswap             `{name} list --json` prints what is not understood: use claude-swap 0.26 or so
failed cswap              `{name} list` failed with {detail}: run it by hand to see why
"""
"""By cause, and where that matters by source: what is wrong, and after a colon what to do about it.

A line that is indented belongs to the one before it. Names in braces are those of `explain`.
"""


def _parse_table(table: str) -> dict[tuple[Cause, Source | None], tuple[str, str]]:
    """Read the sentences of the table; a source of None stands for all that have no sentence of their own."""
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    sentences = {}
    for entry in re.split(r"\n(?! )", "\n".join(lines)):
        key, *texts = re.split(r"\s{2,}", entry)
        cause, _, source = key.partition(" ")
        problem, _, advice = " ".join(texts).partition(": ")
        sentences[Cause(cause), Source(source) if source else None] = problem, advice
    return sentences


_SENTENCES: Final = _parse_table(_TABLE)
