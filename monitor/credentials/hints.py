"""What a person is told where an account has no token that could be sent: who, where, and which command. Pure."""

import shlex
from collections.abc import Sequence
from typing import Final

from monitor.core.model import Account, AuthMethod, Storage

OPTIONS: Final = (
    'unlock or start a keyring, or give the account storage = "linked" (read live from Claude Code), '
    "a token_command, or a systemd credential of its name"
)
"""The four ways in which an account can have its token."""

KEY_OPTIONS: Final = (
    "unlock or start a keyring, "
    "or give the account a token_command, or a systemd credential of its name"
)
"""The three in which it can have its session key."""

SETUP_TOKEN: Final = "this token cannot read usage (scope): log in by `claude` /login"  # noqa: S105 - says which it is


def command(folder: str | None) -> str:
    """How Claude Code is started in this folder; in the default one without more ado."""
    return f"CLAUDE_CONFIG_DIR={shlex.quote(folder)} claude" if folder else "claude"


def of_login(folder: str | None) -> str:
    """What starts Claude Code with a login that was found; `folder` is None where nobody knows which is its own."""
    if folder is None:
        return "`claude` with the CLAUDE_CONFIG_DIR of this login, which is not known here"
    return f"`{command(folder)}`"


def waiting(folder: str | None) -> str:
    """Claude Code renews the token as soon as it runs there."""
    return f"waiting for Claude Code: run {_there(folder)}"


def ended(folder: str | None) -> str:
    """Claude Code itself cannot renew the token any more."""
    return f"Claude Code's login has ended: run {_there(folder)} and use /login"


def _there(folder: str | None) -> str:
    """`folder` is None where nobody knows it."""
    return "`claude` where this account is logged in" if folder is None else f"`{command(folder)}`"


def logged_out(folders: Sequence[str]) -> str:
    """`folders` are those in which nobody is logged in now; without one, a login anywhere will do."""
    if not folders:
        return "logged out: log in by `claude` /login"
    return f"logged out: run `{command(folders[-1])}` and use /login"


def not_its_own(folder: str, owner: str | None) -> str:
    """In the folder that the settings name is another login: that of this account, None where nobody knows whose."""
    mend = f"run `{command(folder)}` and use /login, or correct config_dir in the settings"
    if owner is None:
        return f"the login in {folder or '~/.claude'} is not known to be this account's: {mend}"
    return f"{folder or '~/.claude'} holds the login of {owner!r}: {mend}"


def not_renewed(storage: Storage) -> str:
    """The token has ended, and not Claude Code but the user renews it."""
    where = "what token_command prints" if storage is Storage.COMMAND else "the systemd credential"
    return f"the token has expired: renew {where}"


def nothing(account: Account, folder: str | None) -> str:
    """There is no token at all; `folder` is where its login belongs, None where any will do: it is followed."""
    if account.auth_method is AuthMethod.SESSION_KEY:
        return "no session key in the keyring: press e to enter it"
    return f"no login found yet: run `{command(folder)}` and use /login"
