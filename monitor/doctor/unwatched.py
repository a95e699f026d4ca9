"""The check of logins that are no account yet: found, good, and watched by nobody. Asks nobody whose they are."""

import os.path
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from monitor.core.model import Account, AuthMethod, Login
from monitor.credentials.account_cache import AccountCache, CachedAccount, digest
from monitor.credentials.account_repository import is_of_email
from monitor.credentials.claude_code import absolute
from monitor.doctor.check import Check, Question, command
from monitor.doctor.logins import LoginFacts

UNWATCHED: Final = Question(
    "unwatched", "of a login that is no account yet, no usage is asked for and no alert is told"
)


def unwatched_checks(
    logins: Sequence[LoginFacts], accounts: Sequence[Account], learnt: AccountCache, now: datetime
) -> list[Check]:
    """One for each login that could be imported now."""
    oauth = [account for account in accounts if account.auth_method is AuthMethod.OAUTH]
    return [
        UNWATCHED.warn(f"{facts.place}: logged in, and no account yet", _import(facts))
        for facts in logins
        if facts.login is not None and _is_usable(facts.login, now)
        if not _is_account(facts, facts.login, oauth, learnt)
    ]


def _is_usable(login: Login, now: datetime) -> bool:
    return not (login.is_setup_token or login.credential.is_dead(now))


def _is_account(
    facts: LoginFacts, login: Login, accounts: Sequence[Account], learnt: AccountCache
) -> bool:
    """Whether it is one of these, as far as can be told without asking; where in doubt it is."""
    key, profile = digest(login.credential.secret), learnt.profile_of(login.credential.secret)
    if profile is not None:  # that is not only noted, but was asked
        facts = replace(facts, noted=profile.identity, email=profile.email)
    return any(
        learnt[one.name].token_digest == key or _may_be(facts, one, learnt[one.name])
        for one in accounts
    )


def _may_be(facts: LoginFacts, account: Account, known: CachedAccount) -> bool:
    noted = facts.noted
    if noted is not None and known.identity is not None:
        same = noted.account_uuid == known.identity.account_uuid
        return same and noted.org_uuid in ("", known.identity.org_uuid)
    if facts.folder in known.folders or _is_said(account, facts):
        return True
    return known.identity is None and _may_be_unidentified(facts, account)


def _may_be_unidentified(facts: LoginFacts, account: Account) -> bool:
    """Of the account nothing is known but what the settings say."""
    if facts.noted is None:
        return True
    if facts.noted.org_uuid and account.org_id:
        return facts.noted.org_uuid == account.org_id
    return is_of_email(account, facts.email)


def _is_said(account: Account, facts: LoginFacts) -> bool:
    """Whether the settings say that the account's login is there."""
    folder = account.config_dir
    return folder is not None and facts.key == os.path.realpath(absolute(folder))


def _import(facts: LoginFacts) -> str:
    if facts.folder:
        return command("monitor", "accounts", "import", "--config-dir", facts.folder)
    alone = facts.is_current and facts.folder == ""
    return command("monitor", "accounts", "import", *([] if alone else ["--all"]))
