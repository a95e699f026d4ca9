"""Why an account has no token that could be sent, and what helps."""

import os.path
from datetime import datetime

from monitor.core.errors import Cause, Failure, Reason, Source
from monitor.core.model import Account, AuthMethod, Login, Storage
from monitor.credentials.account_cache import CachedAccount
from monitor.credentials.command import program_name
from monitor.credentials.config_dir import DEFAULT, for_claude_code, remembered
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.secret_stores import Stored, nowhere


def missing_credential(
    account: Account, chosen: Stored, facts: CachedAccount, offers: LoginRegistry, now: datetime
) -> Failure:
    """`chosen` holds a token that has ended, or none."""
    if chosen.storage is Storage.SYSTEMD:
        return Failure(Reason.AUTH, Cause.EXPIRED, Source.SYSTEMD)
    if chosen.storage is Storage.COMMAND:
        name = program_name(account.token_command)
        return Failure(Reason.AUTH, Cause.EXPIRED, Source.COMMAND, name)
    said = remembered(account.config_dir)  # which need not have been found out yet
    failure = offers.failure_of(account.name, (*facts.folders, *said))
    if failure is not None:
        return failure
    if facts.folders or offers.logins_of(account.name):
        folder = folder_of_token(facts, account.name, offers, now)
        has_ended = _has_ended(facts, offers.login_of(account.name, now), now)
        cause = Cause.LOGIN_ENDED if has_ended else Cause.WAITING
        return Failure(Reason.AUTH, cause, folder=folder)
    if facts.left or chosen.credential is not None:
        empty = [folder for folder in facts.left if offers.is_empty(folder)]
        return Failure(Reason.AUTH, Cause.LOGGED_OUT, folder=empty[-1] if empty else None)
    return _none(account, chosen, facts, offers)


def _none(account: Account, chosen: Stored, facts: CachedAccount, offers: LoginRegistry) -> Failure:
    """It never had a token that we know of."""
    folder, is_login = _folder(account), account.auth_method is AuthMethod.OAUTH
    owner = None if folder is None else offers.owner(_place(folder))
    if is_login and folder is not None and (owner or offers.is_taken(folder)):
        return Failure(Reason.CREDENTIALS, Cause.OTHER_LOGIN, folder=folder, owner=owner)
    unclear = offers.unidentified() if is_login else None
    if unclear is not None:
        return unclear
    if not chosen.has_keyring and _may_be_kept(account, facts):
        return nowhere(account)
    source = Source.LOGIN if is_login else Source.SESSION_KEY
    return Failure(Reason.CREDENTIALS, Cause.ABSENT, source, folder=folder)


def _may_be_kept(account: Account, facts: CachedAccount) -> bool:
    """Whether a keyring would help: else the account had no token yet, and its login will do without one."""
    return account.auth_method is not AuthMethod.OAUTH or facts.token_digest is not None


def _has_ended(facts: CachedAccount, login: Login | None, now: datetime) -> bool:
    """Whether Claude Code itself can do nothing more with the login."""
    if login is not None and not login.renewable:
        return True
    return facts.login_expires_at is not None and facts.login_expires_at <= now


def _folder(account: Account) -> str | None:
    """Where the settings say that its login is."""
    return None if account.config_dir is None else for_claude_code(account.config_dir)


def _place(folder: str) -> str:
    """What names the place, however the folder is spelled; "" is the default one."""
    return os.path.realpath(folder or os.path.expanduser(DEFAULT))  # noqa: PTH111 - a Path may raise


def folder_of_token(
    facts: CachedAccount, name: str, offers: LoginRegistry, now: datetime
) -> str | None:
    """Where Claude Code would renew the account's token; None where nobody knows."""
    best = offers.folder_of(name, now)
    return facts.folders[-1] if best is None and facts.folders else best
