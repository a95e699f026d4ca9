"""Accounts that another program lists, without their tokens: which are ours already, and adding those that are not."""

from collections.abc import Sequence

from monitor.core.model import Account, AuthMethod, Identity, Profile
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.account_repository import AccountRepository, is_of_email
from monitor.credentials.ports import KnownLogin


class CswapImport:
    """Compares the rows of one listing with the accounts.

    An e-mail address in two organizations is two accounts. Of a row, and of an account, the organization may not be
    known: then the one may be the other, unless the listing has a row that is it to the letter.
    """

    def __init__(self, register: AccountRepository, learnt: AccountCache) -> None:
        self._register = register
        self._learnt = learnt

    def add(self, known: Sequence[KnownLogin]) -> list[str]:
        """Add the accounts of those rows that are none yet, and learn when each one's login ends.

        Returns the names of those that are new.
        """
        rows = {(row.email, row.org_uuid) for row in known}
        met: set[str] = set()
        added: list[str] = []
        for row in known:
            name = self._name_of(row, rows, met)
            if name is None:
                name = self._add(row)
                added.append(name)
            met.add(name)
            self._learnt[name] = self._learnt[name].swapped_until(row.login_expires_at)
            self._register.tell(name)
        return added

    def _name_of(self, row: KnownLogin, rows: set[tuple[str, str]], met: set[str]) -> str | None:
        """The account of this row, which is no other row's; None where it is none yet."""
        accounts = self._register.accounts()
        ours = [a for a in accounts if a.auth_method is AuthMethod.OAUTH and a.name not in met]
        alike = [a for a in ours if self._may_be(a, row, rows)]
        found = [*(a for a in ours if self._is(a, row)), *alike]
        return found[0].name if found else None

    def _is(self, account: Account, row: KnownLogin) -> bool:
        if self._learnt[account.name].identity == Identity(row.account_uuid, row.org_uuid):
            return True
        return (
            is_of_email(account, row.email) and self._register.organization(account) == row.org_uuid
        )

    def _may_be(self, account: Account, row: KnownLogin, rows: set[tuple[str, str]]) -> bool:
        organization = self._register.organization(account)
        if "" not in (organization, row.org_uuid) or (row.email, organization) in rows:
            return False
        return is_of_email(account, row.email)

    def _add(self, row: KnownLogin) -> str:
        profile = Profile(Identity(row.account_uuid, row.org_uuid), row.email, row.org_name)
        account = self._register.new_account(profile)
        if row.account_uuid and row.org_uuid:
            self._register.identify(account.name, profile)
        self._register.add(account)
        return account.name
