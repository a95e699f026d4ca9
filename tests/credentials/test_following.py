"""Which token is in use while logins come, go, are renewed and change hands."""

import asyncio
from datetime import datetime, timedelta

import pytest

from monitor.core.commands import EditAccount
from monitor.core.errors import ApiError, Cause, CredentialError, Failure, Reason, Source
from monitor.core.events import PollSucceeded
from monitor.core.model import PROFILE_SCOPE, Account, Credential, Identity, Secret, Storage
from monitor.credentials.watcher import AT_ONCE
from tests.builders import NOW, after, usage, window
from tests.credentials.factories import AccountsRig, FakeFacts, FakeLogin
from tests.fakes import settle

ME, YOU = "me@example.com", "you@example.com"


async def in_use(rig: AccountsRig, name: str = ME) -> str:
    return (await rig.credentials.credential(rig.account(name))).secret.reveal()


async def refused(rig: AccountsRig, name: str = ME, reason: Reason = Reason.AUTH) -> str:
    """The words with which no token is given."""
    with pytest.raises(CredentialError) as error:
        await rig.credentials.credential(rig.account(name))
    assert error.value.reason is reason
    return str(error.value)


async def rig_with(*logins: FakeLogin, **emails: str) -> AccountsRig:
    """Everything that is logged in there is imported, and was looked at once."""
    rig = AccountsRig()
    rig.logins = list(logins)
    for token, email in emails.items():
        rig.knows(token, email)
    await rig.book.import_all(rig.logins)
    await rig.watcher.look()
    return rig


async def in_two_folders(first: datetime | None, second: datetime | None) -> AccountsRig:
    return await rig_with(
        FakeLogin("t1", expires_at=first), FakeLogin("t2", "/b", second), t1=ME, t2=ME
    )


@pytest.mark.parametrize(
    ("first", "second", "token"),
    [
        (after(hours=8), after(hours=5), "t1"),
        (after(hours=5), after(hours=8), "t2"),
        (after(hours=5), before_now := NOW - timedelta(hours=1), "t1"),
        (before_now, after(hours=5), "t2"),
        (None, after(hours=5), "t2"),
        (after(hours=5), None, "t1"),
    ],
)
async def test_of_several_folders_the_token_that_ends_last_is_in_use(
    first: datetime | None, second: datetime | None, token: str
) -> None:
    rig = await in_two_folders(first, second)
    assert await in_use(rig) == token
    assert rig.secret_of(ME) == token
    assert rig.names == [ME], "it is one account"


async def test_a_renewal_that_ends_sooner_replaces_nothing() -> None:
    rig = await in_two_folders(after(hours=8), after(hours=5))
    rig.knows("t3", ME)
    rig.logins[1].renews("t3", after(hours=6))
    await rig.watcher.look()
    assert (await in_use(rig), rig.secret_of(ME)) == ("t1", "t1")


async def test_where_the_fresher_folder_is_logged_out_the_other_token_is_taken() -> None:
    rig = await in_two_folders(after(hours=8), after(hours=5))
    rig.logins[0].token = None
    await rig.watcher.look()
    assert (await in_use(rig), rig.secret_of(ME)) == ("t2", "t2")
    assert rig.store.state.accounts[ME].token_expires_at == after(hours=5)


async def test_where_the_fresher_folder_is_deleted_the_other_token_is_taken() -> None:
    rig = await in_two_folders(after(hours=8), after(hours=5))
    del rig.logins[0]
    await rig.watcher.look()
    assert await in_use(rig) == "t2"


async def test_a_stale_copy_beside_it_does_not_come_back_after_a_restart() -> None:
    rig = await in_two_folders(after(hours=5), after(hours=8))
    rig.restart()
    await rig.watcher.look()
    assert (await in_use(rig), rig.secret_of(ME)) == ("t2", "t2")


async def test_a_token_that_was_renewed_a_moment_ago_is_the_one_that_is_sent() -> None:
    """The watcher looks every five seconds; a poll looks by itself."""
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.knows("t2", ME)
    rig.logins[0].renews("t2", after(hours=16))
    assert await in_use(rig) == "t2"


async def test_a_place_that_hangs_holds_up_no_poll_for_long() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.logins[0].hangs = True
    rig.freshen_secs = 0.01
    rig.start()
    assert await in_use(rig) == "t1"


LOCKED = CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED, Source.KEYCHAIN))


async def test_a_poll_during_the_first_look_knows_of_its_own_place() -> None:
    """Another place holds up the first look of a program that has just started."""
    rig = await rig_with(FakeLogin("t1"), FakeLogin("u1", "/b", after(hours=8)), t1=ME, u1=YOU)
    rig.keyring.kept.clear()
    rig.freshen_secs = 0.05
    rig.restart()
    rig.logins[0].hangs = True
    looking = asyncio.create_task(rig.watcher.look())
    await settle()
    assert await in_use(rig, YOU) == "u1"
    looking.cancel()


async def test_a_place_that_is_locked_but_unchanged_fails_no_poll() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.logins[0].error = LOCKED
    assert await in_use(rig) == "t1"
    rig.clock.step(timedelta(hours=9))
    assert await refused(rig) == "waiting for Claude Code: run `claude`"


async def test_a_place_that_is_locked_and_changed_holds_another_token_than_the_known_one() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME, t2=ME)
    rig.logins[0].renews("t2", after(hours=16))
    rig.logins[0].error = LOCKED
    assert await refused(rig, reason=Reason.CREDENTIALS) == str(LOCKED)
    rig.logins[0].error = None
    rig.clock.step(timedelta(seconds=10))
    await rig.watcher.look()
    assert await in_use(rig) == "t2"


async def test_a_place_that_was_only_touched_while_locked_holds_the_known_token_still() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.logins[0].error = LOCKED
    rig.logins[0].touch()
    assert await refused(rig, reason=Reason.CREDENTIALS) == str(LOCKED)
    rig.logins[0].error = None
    rig.clock.step(timedelta(seconds=10))
    assert await in_use(rig) == "t1"


async def test_while_one_place_is_locked_the_token_of_another_one_is_used() -> None:
    rig = await in_two_folders(after(hours=8), after(hours=5))
    rig.logins[0].renews("t3", after(hours=16))
    rig.logins[0].error = LOCKED
    assert await in_use(rig) == "t2"


async def test_an_expired_token_waits_for_claude_code_in_its_folder() -> None:
    rig = await rig_with(FakeLogin(), FakeLogin("t1", "/my work", after(hours=8)), t1=ME)
    rig.clock.step(timedelta(hours=8))
    told = "waiting for Claude Code: run `CLAUDE_CONFIG_DIR='/my work' claude`"
    assert await refused(rig) == told


async def test_an_expired_token_of_the_default_folder_needs_no_folder_named() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.clock.step(timedelta(hours=8))
    assert await refused(rig) == "waiting for Claude Code: run `claude`"


async def test_an_item_of_an_unknown_folder_is_no_login_of_the_default_one() -> None:
    item = FakeLogin("t1", None, after(hours=8), item="keychain:x", facts=None)
    rig = await rig_with(FakeLogin(), item, t1=ME)
    assert await in_use(rig) == "t1"
    rig.clock.step(timedelta(hours=8))
    told = "waiting for Claude Code: run `claude` where this account is logged in"
    assert await refused(rig) == told


async def test_a_token_that_was_renewed_and_ended_again_meanwhile_still_waits_there() -> None:
    """The machine slept: nobody can be asked whose the dead token is."""
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.restart()
    rig.clock.step(timedelta(hours=30))
    rig.profiles.asked.clear()
    rig.logins[0].renews("t2", after(hours=16))
    await rig.watcher.look()
    assert await refused(rig) == "waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/w claude`"
    assert rig.profiles.asked == []


async def test_an_expired_login_that_nobody_can_renew_is_not_waited_for() -> None:
    login = FakeLogin("t1", "/w", after(hours=8), scopes=(PROFILE_SCOPE,), renewable=False)
    rig = await rig_with(login, t1=ME)
    rig.clock.step(timedelta(hours=9))
    told = "Claude Code's login has ended: run `CLAUDE_CONFIG_DIR=/w claude` and use /login"
    assert await refused(rig) == told


async def test_a_login_of_claude_code_that_has_ended_needs_a_new_login() -> None:
    login = FakeLogin("t1", "/w", after(hours=8), login_expires_at=after(days=1))
    rig = await rig_with(login, t1=ME)
    rig.clock.step(timedelta(hours=9))
    assert await refused(rig) == "waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/w claude`"
    rig.clock.step(timedelta(days=1))
    told = "Claude Code's login has ended: run `CLAUDE_CONFIG_DIR=/w claude` and use /login"
    assert await refused(rig) == told


async def test_after_a_logout_the_last_token_is_used_up_and_then_a_login_is_asked_for() -> None:
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.logins[0].token = None
    await rig.watcher.look()
    assert await in_use(rig) == "t1"
    rig.clock.step(timedelta(hours=8))
    assert await refused(rig) == "logged out: run `CLAUDE_CONFIG_DIR=/w claude` and use /login"


async def test_a_login_in_the_same_folder_again_needs_no_key() -> None:
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.logins[0].token = None
    await rig.watcher.look()
    assert "/w" in rig.learnt.folders(), "it is followed on"
    rig.clock.step(timedelta(hours=9))
    rig.knows("t2", ME)
    rig.logins[0].renews("t2", after(hours=17))
    assert await in_use(rig) == "t2"


async def test_a_switched_folder_is_the_other_accounts_and_no_more_the_formers() -> None:
    rig = await rig_with(
        FakeLogin("t1", "/w", after(hours=8)), FakeLogin("u1", "/y", after(hours=2)), t1=ME, u1=YOU
    )
    rig.knows("u2", YOU)
    rig.logins[0].renews("u2", after(hours=9))
    await rig.watcher.look()
    assert (await in_use(rig, ME), await in_use(rig, YOU)) == ("t1", "u2")
    assert rig.learnt[ME].folders == ()
    assert set(rig.learnt[YOU].folders) == {"/y", "/w"}
    rig.clock.step(timedelta(hours=8))
    assert await refused(rig, ME) == "logged out: run `claude` and use /login"


async def test_a_folder_that_a_stranger_took_is_not_named() -> None:
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.knows("s1", "stranger@example.com", org="org-9")
    rig.logins[0].renews("s1", after(hours=9))
    await rig.watcher.look()
    assert await in_use(rig) == "t1"
    rig.clock.step(timedelta(hours=8))
    assert await refused(rig) == "logged out: run `claude` and use /login"


async def test_a_setup_token_is_not_asked_about_and_said_to_be_one() -> None:
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.profiles.asked.clear()
    rig.logins[0].renews("setup", after(days=300))
    rig.logins[0].scopes = ("user:inference",)
    await rig.watcher.look()
    assert await in_use(rig) == "t1"
    rig.clock.step(timedelta(hours=8))
    told = "the token may not read usage (a setup-token cannot): log in by `claude` /login"
    assert await refused(rig, reason=Reason.SCOPE) == told
    assert rig.profiles.asked == []


async def test_while_nobody_can_be_asked_a_new_token_is_used_for_nobody() -> None:
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.knows("t2", ME)
    rig.profiles.error = ApiError(Failure(Reason.CONNECTION, detail="not now"))
    rig.logins[0].renews("t2", after(hours=16))
    assert await in_use(rig) == "t1"
    rig.clock.step(timedelta(hours=8))
    words = await refused(rig, reason=Reason.CONNECTION)
    assert words == "it cannot be asked now whose the new login is (not now)"
    rig.profiles.error = None
    rig.clock.step(timedelta(minutes=2))
    assert await in_use(rig) == "t2"


UNANSWERED = ApiError(Failure(Reason.RATE_LIMITED, detail="later"))


async def unidentified(noted: Identity | None = None) -> AccountsRig:
    """The token in /w is renewed while the profile API answers nobody; Claude Code has `noted` whose it is."""
    rig = await rig_with(
        FakeLogin("t1", "/w", after(hours=8)), FakeLogin("u1", "/y", after(hours=8)), t1=ME
    )
    rig.knows("u1", YOU, org="org-2")
    await rig.book.import_all(rig.logins)
    await rig.watcher.look()
    rig.profiles.error = UNANSWERED
    rig.logins[0].facts = FakeFacts(noted)
    rig.logins[0].renews("t2", after(hours=16))
    await rig.watcher.look()
    return rig


async def sent(rig: AccountsRig, name: str = ME) -> Credential:
    return await rig.credentials.credential(rig.account(name))


@pytest.mark.parametrize(
    "noted",
    [None, Identity(f"uuid-{ME}", "org-1"), Identity(f"uuid-{ME}", "")],
)
async def test_where_the_profile_api_does_not_answer_the_first_answer_proves_a_new_token(
    noted: Identity | None,
) -> None:
    rig = await unidentified(noted)
    presumed = await sent(rig)
    assert (presumed.secret.reveal(), presumed.proven) == ("t2", False)
    assert (rig.secret_of(ME), rig.learnt[ME].token_expires_at) == ("t1", after(hours=8))
    await rig.credentials.confirm(rig.account(ME), presumed)
    assert (await sent(rig)).proven
    assert (rig.secret_of(ME), rig.learnt[ME].token_expires_at) == ("t2", after(hours=16))
    rig.restart()
    await rig.watcher.look()
    assert (await sent(rig)).proven


async def test_a_token_that_turns_out_to_be_of_another_organization_is_not_sent_again() -> None:
    rig = await unidentified()
    presumed = await sent(rig)
    assert (await rig.credentials.credential(rig.account(ME), presumed)).secret == Secret("t1")
    rig.clock.step(timedelta(hours=1))
    await rig.watcher.look()
    assert (await sent(rig)).secret == Secret("t1")
    rig.clock.step(timedelta(hours=8))
    assert await refused(rig) == "logged out: run `claude` and use /login"


async def test_a_folder_that_another_account_has_taken_is_presumed_to_be_that_ones() -> None:
    rig = await unidentified(Identity(f"uuid-{YOU}", "org-2"))
    presumed = await sent(rig, YOU)
    assert (presumed.secret.reveal(), presumed.proven) == ("t2", False)
    assert (await sent(rig)).secret == Secret("t1")
    await rig.credentials.confirm(rig.account(YOU), presumed)
    assert (rig.secret_of(ME), rig.secret_of(YOU)) == ("t1", "t2")
    assert (rig.learnt[ME].folders, rig.learnt[YOU].folders) == ((), ("/y", "/w"))


@pytest.mark.parametrize(
    "noted",
    [
        Identity("uuid-stranger", "org-1"),
        Identity(f"uuid-{ME}", "org-9"),
        Identity("uuid-stranger", ""),
    ],
)
async def test_a_token_of_whom_claude_code_notes_a_stranger_is_presumed_to_be_nobodys(
    noted: Identity,
) -> None:
    rig = await unidentified(noted)
    assert (await sent(rig)).secret == Secret("t1")


async def test_of_two_members_of_one_organization_none_is_presumed() -> None:
    """The organization that an answer names would prove neither."""
    rig = await rig_with(
        FakeLogin("t1", "/w", after(hours=8)), FakeLogin("u1", "/y", after(hours=8)), t1=ME, u1=YOU
    )
    rig.profiles.error = UNANSWERED
    rig.logins[0].renews("t2", after(hours=16))
    assert (await sent(rig)).secret == Secret("t1")


async def test_a_linked_account_that_was_never_identified_is_proven_by_its_first_answer() -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.LINKED, config_dir="/w"))
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    rig.profiles.error = UNANSWERED
    await rig.watcher.look()
    presumed = await sent(rig)
    assert not presumed.proven
    await rig.credentials.confirm(rig.account(ME), presumed)
    assert (await sent(rig)).proven
    assert rig.learnt[ME].folders == ("/w",)
    assert rig.keyring.kept == {}


async def test_the_profile_api_has_the_last_word_on_what_was_presumed() -> None:
    rig = await unidentified()
    rig.profiles.error = None
    rig.knows("t2", YOU, org="org-2")
    rig.clock.step(timedelta(minutes=2))
    await rig.watcher.look()
    assert (await sent(rig)).secret == Secret("t1")
    assert (await sent(rig, YOU)).secret == Secret("t2")


async def test_asking_whose_a_token_is_slows_down_but_not_for_the_next_token() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.profiles.error = ApiError(
        Failure(Reason.RATE_LIMITED, detail="later", retry_after=timedelta(minutes=45))
    )
    rig.logins[0].renews("t2", after(hours=16))
    rig.profiles.asked.clear()
    for _ in range(44):
        await rig.watcher.look()
        rig.clock.step(timedelta(minutes=1))
    assert rig.profiles.asked == ["t2"], "the server's wish is respected"
    rig.logins[0].renews("t3", after(hours=17))
    await rig.watcher.look()
    assert rig.profiles.asked == ["t2", "t3"]


async def test_where_somebody_said_no_nobody_is_asked_again_until_it_changes() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.logins[0].error = CredentialError(Failure(Reason.CREDENTIALS, Cause.DENIED))
    rig.logins[0].touch()
    reads = rig.logins[0].reads
    for _ in range(60):
        await rig.watcher.look()
        rig.clock.step(timedelta(minutes=10))
    assert rig.logins[0].reads == reads + 1
    rig.logins[0].error = None
    rig.logins[0].touch()
    await rig.watcher.look()
    assert rig.logins[0].reads == reads + 2


async def test_a_half_written_file_is_read_at_the_next_look() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.knows("t2", ME)
    rig.logins[0].renews("t2", after(hours=16))
    rig.logins[0].error = CredentialError(Failure(Reason.CREDENTIALS, Cause.DAMAGED))
    await rig.watcher.look()
    rig.logins[0].error, rig.logins[0].same_stamp = None, True
    rig.clock.step(timedelta(seconds=5))
    await rig.watcher.look()
    assert await in_use(rig) == "t2"


async def test_a_poll_that_meets_a_half_written_file_waits_until_it_is_whole() -> None:
    """With a renewal the token that is known may have died."""
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.knows("t2", ME)
    rig.logins[0].renews("t2", after(hours=16))
    rig.logins[0].error = CredentialError(Failure(Reason.CREDENTIALS, Cause.DAMAGED))
    poll = asyncio.create_task(in_use(rig))
    await rig.clock.advance(0.9, tick=0.1)
    assert not poll.done()
    rig.logins[0].error = None
    await rig.clock.advance(0.2, tick=0.1)
    assert poll.done() and await poll == "t2"


async def test_a_file_that_stays_half_written_holds_up_one_poll_and_its_old_token_is_not_sent() -> (
    None
):
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    half = CredentialError(Failure(Reason.CREDENTIALS, Cause.DAMAGED))
    rig.logins[0].error = half
    rig.logins[0].touch()
    poll = asyncio.create_task(refused(rig, reason=Reason.CREDENTIALS))
    await rig.clock.advance(1, tick=0.5)
    assert poll.done() and await poll == str(half)
    assert await refused(rig, reason=Reason.CREDENTIALS) == str(half)


async def test_a_refused_token_is_not_sent_again_while_its_place_cannot_be_read() -> None:
    """Where the place was not read before, nobody knows whether it has changed."""
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.logins[0].error = LOCKED
    rig.restart()
    old = Credential(Secret("t1"), expires_at=after(hours=8))
    assert await in_use(rig) == "t1"
    assert await rig.credentials.credential(rig.account(ME), rejected=old) == old
    assert await refused(rig, reason=Reason.CREDENTIALS) == str(LOCKED)


async def test_after_a_refusal_the_place_is_read_once_more() -> None:
    """Some file systems have coarse stamps: the place may have changed though it looks the same."""
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.knows("t2", ME)
    rig.logins[0].same_stamp = True
    rig.logins[0].renews("t2", after(hours=16))
    account, old = rig.account(ME), Credential(Secret("t1"), expires_at=after(hours=8))
    assert await in_use(rig) == "t1"
    other = await rig.credentials.credential(account, rejected=old)
    assert other.secret == Secret("t2")


async def test_after_a_refusal_without_another_token_the_same_one_is_given_back() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    account, old = rig.account(ME), Credential(Secret("t1"), expires_at=after(hours=8))
    assert await rig.credentials.credential(account, rejected=old) == old


async def test_after_a_refusal_the_token_of_another_folder_is_tried() -> None:
    rig = await in_two_folders(after(hours=8), after(hours=5))
    account, old = rig.account(ME), Credential(Secret("t1"), expires_at=after(hours=8))
    other = await rig.credentials.credential(account, rejected=old)
    assert other.secret == Secret("t2")
    assert await in_use(rig) == "t2", "the refused one is not tried first again"


async def test_new_folders_are_followed_as_they_appear() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=2)), t1=ME)
    rig.knows("t2", ME)
    rig.logins.append(FakeLogin("t2", "/new", after(hours=8)))
    await rig.watcher.look()
    assert await in_use(rig) == "t2"
    assert set(rig.learnt[ME].folders) == {"", "/new"}


async def test_the_state_knows_the_folder_that_claude_code_would_renew_the_token_in() -> None:
    rig = await in_two_folders(after(hours=5), after(hours=8))
    assert rig.store.state.accounts[ME].config_dir == "/b"


async def test_an_account_without_changes_causes_no_events() -> None:
    rig = await in_two_folders(after(hours=5), after(hours=8))
    await in_use(rig)
    before = rig.store.state
    for _ in range(5):
        await rig.watcher.look()
        await in_use(rig)
    assert rig.store.state is before


async def test_a_renewal_while_the_keyring_is_locked_is_used_and_kept_later() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    rig.knows("t2", ME)
    rig.keyring.locked = True
    rig.logins[0].renews("t2", after(hours=16))
    await rig.watcher.look()
    assert (await in_use(rig), rig.secret_of(ME)) == ("t2", "t1")
    rig.keyring.locked = False
    rig.clock.step(timedelta(seconds=15))
    await rig.watcher.look()
    assert rig.secret_of(ME) == "t2"


async def test_a_removed_account_is_given_no_token_any_more() -> None:
    rig = await rig_with(FakeLogin("t1", expires_at=after(hours=8)), t1=ME)
    await rig.book.remove(ME)
    await rig.watcher.look()
    assert rig.keyring.kept == {}
    assert rig.store.state.logged_in is None


async def test_a_renamed_account_keeps_its_places() -> None:
    rig = await in_two_folders(after(hours=5), after(hours=8))
    await rig.book.edit(EditAccount(ME, "work", "org-1", None))
    rig.knows("t3", ME)
    rig.logins[0].renews("t3", after(hours=13))
    assert await in_use(rig, "work") == "t3"
    assert rig.names == ["work"]


async def test_an_account_of_older_settings_learns_where_it_lives() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    await rig.keyring.write(ME, Secret("t1"))
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    await rig.watcher.look()
    assert rig.learnt[ME].folders == ("/w",)
    assert rig.profiles.asked == [], "its token is known"


async def test_a_linked_account_of_any_name_has_the_login_of_the_folder_that_it_is_given() -> None:
    rig = AccountsRig(
        Account("work", "org-1", storage=Storage.LINKED, config_dir="/w"), Account("home")
    )
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    rig.knows("t1", ME)
    await rig.watcher.look()
    assert await in_use(rig, "work") == "t1"


async def test_the_folder_that_an_account_is_given_may_hold_another_organizations_login() -> None:
    rig = AccountsRig(Account("work", "org-1", storage=Storage.LINKED, config_dir="/w"))
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    rig.knows("t1", ME, org="org-2")
    await rig.watcher.look()
    assert "the login in /w is not known to be this account" in await refused(
        rig, "work", Reason.CREDENTIALS
    )


async def test_an_account_that_was_renamed_by_hand_keeps_its_login() -> None:
    rig = await rig_with(FakeLogin("t1", "/w", after(hours=8)), t1=ME)
    rig.file.listed = [Account("work", "org-1", storage=Storage.LINKED)]
    rig.book.load(rig.file.read())
    await rig.watcher.look()
    assert await in_use(rig, "work") == "t1"


async def test_a_first_start_without_a_network_says_that_and_blames_no_login() -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.LINKED))
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    rig.profiles.error = ApiError(Failure(Reason.CONNECTION, detail="no network"))
    words = await refused(rig, reason=Reason.CONNECTION)
    assert words == "it cannot be asked now whose the new login is (no network)"


async def switched(storage: Storage | None) -> AccountsRig:
    """The folder of one account has become another account's, while its token is good for two more hours."""
    rig = AccountsRig()
    rig.prefers(storage)
    rig.logins = [FakeLogin("t1", "/w", after(hours=2)), FakeLogin("u1", "/y", after(hours=8))]
    rig.knows("t1", ME)
    rig.knows("u1", YOU, org="org-2")
    await rig.book.import_all(rig.logins)
    await rig.watcher.look()
    rig.knows("u2", YOU, org="org-2")
    rig.logins[0].renews("u2", after(hours=9))
    await rig.watcher.look()
    return rig


async def test_a_linked_account_keeps_the_last_token_of_a_folder_that_another_one_took() -> None:
    rig = await switched(Storage.LINKED)
    assert (await in_use(rig), await in_use(rig, YOU)) == ("t1", "u2")
    assert rig.keyring.kept == {}
    rig.clock.step(timedelta(hours=3))
    assert await refused(rig) == "logged out: run `claude` and use /login"


async def test_the_last_token_of_a_folder_is_sent_no_more_once_it_was_refused() -> None:
    rig = await switched(Storage.LINKED)
    with pytest.raises(CredentialError, match="logged out"):
        await rig.credentials.credential(rig.account(ME), await sent(rig))
    assert await refused(rig) == "logged out: run `claude` and use /login"


async def test_the_last_token_of_a_folder_goes_with_a_rename_and_with_the_account() -> None:
    rig = await switched(Storage.LINKED)
    await rig.book.edit(EditAccount(ME, "me", "org-1", None))
    assert await in_use(rig, "me") == "t1"
    await rig.book.remove("me")
    assert rig.registry.tokens_of("me") == []


async def test_after_a_logout_there_is_no_last_token() -> None:
    rig = await switched(Storage.LINKED)
    rig.logins[1].log_out()
    rig.logins[0].log_out()
    await rig.watcher.look()
    assert await refused(rig, YOU) == "logged out: run `CLAUDE_CONFIG_DIR=/y claude` and use /login"


def is_due(rig: AccountsRig) -> bool:
    return rig.store.state.accounts[ME].next_poll_at <= rig.clock.now()


async def polled(rig: AccountsRig) -> AccountsRig:
    """Some polls have brought usage, and the next one is minutes away."""
    now = rig.clock.now()
    rig.store.dispatch(PollSucceeded(now, ME, usage(window("5h", 42), at=now), timedelta(0)))
    assert not is_due(rig)
    return rig


async def test_a_token_that_ends_is_told_at_the_next_look() -> None:
    rig = await polled(await rig_with(FakeLogin("t1", expires_at=after(minutes=2)), t1=ME))
    await rig.clock.advance(60)
    await rig.watcher.look()
    assert not is_due(rig)
    await rig.clock.advance(61)
    await rig.watcher.look()
    assert is_due(rig), "which sends nothing"
    assert "waiting for Claude Code" in await refused(rig)


async def test_a_linked_login_that_is_replaced_by_an_ended_one_is_told_at_the_next_look() -> None:
    rig = AccountsRig()
    rig.prefers(Storage.LINKED)
    rig.knows("t1", ME)
    rig.logins = [FakeLogin("t1", expires_at=after(hours=2))]
    await rig.book.import_all(rig.logins)
    await rig.watcher.look()
    await polled(rig)
    await rig.clock.advance(20)
    rig.logins[0].renews("t2", NOW - timedelta(hours=1))
    await rig.watcher.look()
    assert is_due(rig), "which sends nothing"
    await refused(rig)


async def test_very_many_logins_are_found_by_one_look_some_at_a_time() -> None:
    """Polls of accounts of which no place is known start all at once, and need the same look."""
    names = [f"user{number}@example.com" for number in range(400)]
    rig = AccountsRig(*(Account(name) for name in names))
    rig.prefers(Storage.LINKED)
    rig.logins = [FakeLogin(f"t{n}", f"/{n}", after(hours=8)) for n in range(len(names))]
    for number, name in enumerate(names):
        rig.knows(f"t{number}", name, account=f"acc-{number}")
    found = await asyncio.gather(*(in_use(rig, name) for name in names))
    assert found == [f"t{number}" for number in range(len(names))]
    assert sorted(rig.profiles.asked) == sorted(found), "each is asked about once"
    assert 1 < rig.profiles.most_waiting <= AT_ONCE
    assert sum(login.reads for login in rig.logins) <= 2 * len(names)
