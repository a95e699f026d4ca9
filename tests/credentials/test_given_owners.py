"""Tokens that the user hands over: by systemd, or by a program of the user's."""

from datetime import timedelta

import pytest

from monitor.core.errors import ApiError, CredentialError, Failure, Reason
from monitor.core.model import Account, Credential, Secret, Storage
from tests.credentials.factories import AccountsRig, FakeCommand

ME, YOU = "me@example.com", "you@example.com"
ARGV = ("print",)


def rig_with(*tokens: str, org_id: str = "org-1") -> AccountsRig:
    """An account whose token a program prints: the next one each time that one is rejected."""
    rig = AccountsRig(Account(ME, org_id, storage=Storage.COMMAND, token_command=ARGV))
    rig.commands[ARGV] = FakeCommand(ARGV, list(tokens))
    rig.knows("t1", ME)
    rig.knows("t2", ME)
    rig.knows("u1", YOU, org="org-2")
    return rig


async def sent(rig: AccountsRig, rejected: Credential | None = None) -> Credential:
    return await rig.credentials.credential(rig.account(ME), rejected)


async def test_whose_a_token_is_is_asked_once_for_each_token() -> None:
    rig = rig_with("t1", "t2")
    first = await sent(rig)
    assert (await sent(rig), first.proven) == (first, True)
    assert (await sent(rig, first)).secret == Secret("t2")
    rig.restart()
    await sent(rig)
    assert rig.profiles.asked == ["t1", "t2"]
    assert rig.store.state.accounts[ME].plan == "max_20x"


@pytest.mark.parametrize("org_id", ["org-1", ""])
async def test_another_accounts_token_is_not_sent_for_this_one(org_id: str) -> None:
    rig = rig_with("t1", "u1", org_id=org_id)
    first = await sent(rig)
    with pytest.raises(CredentialError) as refusal:
        await sent(rig, first)
    words = f"the token that is given for {ME!r} is of {YOU}, which is another account"
    assert (str(refusal.value), refusal.value.reason) == (words, Reason.CREDENTIALS)


async def test_a_first_token_of_another_organization_than_the_settings_say_is_not_sent() -> None:
    rig = rig_with("u1")
    with pytest.raises(CredentialError, match="which is another account"):
        await sent(rig)


@pytest.mark.parametrize(("org_id", "proven"), [("org-1", False), ("", True)])
async def test_where_nobody_can_be_asked_the_answer_has_to_name_a_known_organization(
    org_id: str, proven: bool
) -> None:
    rig = rig_with("t1", org_id=org_id)
    rig.profiles.error = ApiError(Failure(Reason.RATE_LIMITED, detail="later"))
    assert (await sent(rig)).proven is proven
    await sent(rig)
    assert rig.profiles.asked == ["t1"], "not at each poll"
    rig.profiles.error = None
    rig.clock.step(timedelta(minutes=6))
    assert (await sent(rig)).proven
    assert rig.profiles.asked == ["t1", "t1"]


async def test_a_token_that_may_not_read_usage_is_sent_so_that_the_answer_says_so() -> None:
    rig = rig_with("setup")
    rig.profiles.error = ApiError(Failure(Reason.SCOPE, detail="a setup-token"))
    assert (await sent(rig)).secret == Secret("setup")


async def test_what_systemd_hands_over_is_checked_as_well() -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.SYSTEMD))
    rig.given.by_name[ME] = Credential(Secret("u1"))
    rig.knows("u1", YOU, org="org-2")
    with pytest.raises(CredentialError, match="which is another account"):
        await sent(rig)
