"""The `[[accounts]]` tables into values: who is watched, where tokens are had from, and exceptions to alert rules."""

import json
import re
import shlex
from typing import Final

from monitor.core.alerts.rules import Override
from monitor.core.errors import SettingsError
from monitor.core.model import Account, AuthMethod, Storage
from monitor.core.sanitize import printable
from monitor.settings import checks
from monitor.settings.alerts import ACCOUNT_RULE_KEYS, account_override
from monitor.settings.reader import Table

_AUTH_METHODS: Final = {
    "oauth": AuthMethod.OAUTH,
    "o_auth": AuthMethod.OAUTH,  # an older spelling
    "session_key": AuthMethod.SESSION_KEY,
}
_AUTH_METHOD_IF_ABSENT: Final = AuthMethod.SESSION_KEY
"""Older files name no `auth_method` for the accounts that were entered by hand."""

_KEYS: Final = ("name", "org_id", "auth_method", "label", "storage", "config_dir", "token_command")
_EXAMPLE: Final = '["pass", "show", "claude/work"]'
_LONGEST_SUGGESTION: Final = 90
_TOKEN: Final = re.compile(r"sk-ant-|eyJ[\w-]{20}")


def account_settings(top: Table) -> tuple[tuple[Account, ...], dict[str, Override]]:
    """The accounts, and the exceptions to the alert rules by account name. Raises SettingsError."""
    accounts: list[Account] = []
    overrides: dict[str, Override] = {}
    for table in top.tables("accounts", *_KEYS, *ACCOUNT_RULE_KEYS):
        account = _account(table)
        table.checked("name", checks.check_new_name, account, accounts)
        table.checked("label", checks.check_new_title, account, accounts)
        accounts.append(account)
        override = account_override(table)
        if override is not None:
            overrides[account.name] = override
    return tuple(accounts), overrides


def _account(table: Table) -> Account:
    if "name" not in table:
        raise table.error('an account needs a name: add name = "user@example.com"')
    account = Account(
        table.text("name", "", checks.check_name),
        org_id=table.text("org_id", "", checks.check_org_id),
        auth_method=table.text("auth_method", _AUTH_METHOD_IF_ABSENT, _auth_method),
        label=table.text("label", None, checks.check_label),
        storage=_storage(table),
        config_dir=table.text("config_dir", None, checks.check_config_dir),
        token_command=_token_command(table),
    )
    key = "storage" if "storage" in table else "token_command"
    table.checked(key, checks.check_storage, account)
    return account


def _auth_method(word: str) -> AuthMethod:
    if word not in _AUTH_METHODS:
        raise SettingsError(f'unknown: write "{AuthMethod.OAUTH}" or "{AuthMethod.SESSION_KEY}"')
    return _AUTH_METHODS[word]


def _storage(table: Table) -> Storage | None:
    """A command says by itself where the token is had from."""
    default = Storage.COMMAND if "token_command" in table else None
    return table.text("storage", default, checks.parse_storage)


def _token_command(table: Table) -> tuple[str, ...]:
    if table.holds("token_command", str):
        raise _no_list(table, table.value("token_command", str, ""))
    argv = table.items("token_command", str)
    if "token_command" in table and not (argv and argv[0].strip()):
        raise table.error(f"which program? write {_EXAMPLE}", "token_command")
    for place, word in enumerate(argv):
        _refuse_secret(table, word)
        if "\0" in word:
            raise table.error(
                "holds a null character, which no program takes", "token_command", place
            )
    return tuple(argv)


def _no_list(table: Table, text: str) -> SettingsError:
    """Such a text would need a shell; what it would have made of it is shown where that is plain."""
    _refuse_secret(table, text)
    words = f"must be a list, which no shell looks at: write {_as_list(text) or _EXAMPLE}"
    return table.error(words, "token_command")


def _as_list(text: str) -> str | None:
    try:
        argv = json.dumps(shlex.split(text), ensure_ascii=False)
    except ValueError:
        return None
    fits = argv != "[]" and len(argv) <= _LONGEST_SUGGESTION and argv == printable(argv)
    return argv if fits else None


def _refuse_secret(table: Table, word: str) -> None:
    """Every process of the machine may read the arguments of a program."""
    if _TOKEN.search(word):
        words = "a token is not to be an argument: name a program that prints it, such as "
        raise table.hidden_error(words + _EXAMPLE, "token_command")
