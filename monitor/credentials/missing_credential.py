"""Why an account has no token that could be sent, and what helps."""

import os.path
from datetime import datetime

from monitor.core.errors import Cause, CredentialError, Reason
from monitor.core.model import Account, AuthMethod, Login, Storage
from monitor.credentials import hints
from monitor.credentials.account_cache import CachedAccount
from monitor.credentials.config_dir import DEFAULT, for_claude_code, remembered
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.secret_stores import Stored, nowhere


def missing_credential(
    account: Account, chosen: Stored, facts: CachedAccount, offers: LoginRegistry, now: datetime
) -> CredentialError:
    """`chosen` holds a token that has ended, or none."""
    if chosen.storage in (Storage.SYSTEMD, Storage.COMMAND):
        return CredentialError(hints.not_renewed(chosen.storage), reason=Reason.AUTH)
    said = remembered(account.config_dir)  # which need not have been found out yet
    failure = offers.failure_of(account.name, (*facts.folders, *said))
    if failure is not None:
        return failure
    if facts.folders or offers.logins_of(account.name):
        folder = folder_of_token(facts, account.name, offers, now)
        has_ended = _has_ended(facts, offers.login_of(account.name, now), now)
        words = hints.ended(folder) if has_ended else hints.waiting(folder)
        return CredentialError(words, reason=Reason.AUTH, renewable=not has_ended)
    if facts.left or chosen.credential is not None:
        empty = [folder for folder in facts.left if offers.is_empty(folder)]
        return CredentialError(hints.logged_out(empty), reason=Reason.AUTH)
    return _none(account, chosen, facts, offers)


def _none(
    account: Account, chosen: Stored, facts: CachedAccount, offers: LoginRegistry
) -> CredentialError:
    """It never had a token that we know of."""
    oauth = account.auth_method is AuthMethod.OAUTH
    alien = _alien(account, offers) if oauth else None
    if alien is not None:
        return CredentialError(alien, cause=Cause.ABSENT)
    unclear = offers.unidentified() if oauth else None
    if unclear is not None:
        return unclear
    if not chosen.has_keyring and _may_be_kept(account, facts):
        return CredentialError(nowhere(account), cause=Cause.NO_KEYRING)
    return CredentialError(hints.nothing(account, _folder(account)), cause=Cause.ABSENT)


def _may_be_kept(account: Account, facts: CachedAccount) -> bool:
    """Whether a keyring would help: else the account had no token yet, and its login will do without one."""
    return account.auth_method is not AuthMethod.OAUTH or facts.token_digest is not None


def _alien(account: Account, offers: LoginRegistry) -> str | None:
    """What is to be said of the folder that the settings name where a login is in it, which is not the account's."""
    folder = _folder(account)
    if folder is None:
        return None
    owner = offers.owner(_place(folder))
    return hints.not_its_own(folder, owner) if owner or offers.is_taken(folder) else None


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
