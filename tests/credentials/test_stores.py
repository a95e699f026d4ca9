"""Where a token is had from: keyring, Claude Code's own place, systemd, a command; and what is written where."""

from datetime import timedelta

import pytest

from monitor.app.poller import Poller
from monitor.core.commands import AddAccount, EditAccount
from monitor.core.errors import (
    ApiError,
    Cause,
    CredentialError,
    Failure,
    Reason,
    TrackerError,
    describe,
)
from monitor.core.events import PollStarted
from monitor.core.model import Account, AuthMethod, Credential, Secret, Storage, Usage
from monitor.credentials.account_cache import CachedAccount
from monitor.system.clock import ServerClock
from tests.builders import after
from tests.credentials.factories import AccountsRig, FakeCommand, FakeLogin
from tests.fakes import OwnRequests

ME = "me@example.com"
ARGV = ("pass", "show", "claude/work")
KEY = Secret("sk-ant-sid01-x")
IMPORTED = Account(ME, "org-1")


async def token(rig: AccountsRig, name: str = ME) -> str:
    return (await rig.credentials.credential(rig.account(name))).secret.reveal()


def everywhere(storage: Storage | None = None, token_command: tuple[str, ...] = ()) -> AccountsRig:
    """An account whose token could be had from each place, another one in each."""
    rig = AccountsRig(Account(ME, "org-1", storage=storage, token_command=token_command))
    rig.keyring.kept[ME] = Credential(Secret("kept"))
    rig.given.by_name[ME] = Credential(Secret("given"))
    rig.commands[ARGV] = FakeCommand(ARGV, ["printed"])
    rig.knows("live", ME)
    rig.logins = [FakeLogin("live", "/w", after(hours=8))]
    return rig


@pytest.mark.parametrize(
    ("storage", "command", "read"),
    [
        (None, ARGV, "printed"),
        (None, (), "given"),
        (Storage.COMMAND, ARGV, "printed"),
        (Storage.SYSTEMD, (), "given"),
        (Storage.LINKED, (), "live"),
        (Storage.KEYRING, (), "live"),
    ],
)
async def test_the_settings_say_where_a_token_is_had_from(
    storage: Storage | None, command: tuple[str, ...], read: str
) -> None:
    rig = everywhere(storage, command)
    await rig.watcher.look()
    assert await token(rig) == read
    kept = "live" if storage is Storage.KEYRING else "kept"
    assert rig.secret_of(ME) == kept, "only the keyring's own account is renewed in it"


@pytest.mark.parametrize(
    ("gone", "read"),
    [
        (set(), "given"),
        ({"given"}, "live"),
        ({"given", "kept"}, "live"),
        ({"given", "live"}, "kept"),
    ],
)
async def test_without_a_word_in_the_settings_the_first_that_there_is(
    gone: set[str], read: str
) -> None:
    rig = everywhere()
    if "given" in gone:
        rig.given.by_name.clear()
    if "kept" in gone:
        rig.keyring.kept.clear()
    if "live" in gone:
        rig.logins = []
    await rig.watcher.look()
    assert await token(rig) == read
    if "kept" in gone:
        assert rig.keyring.kept == {}, "what is read live is copied nowhere"


async def test_a_default_of_the_settings_holds_for_accounts_that_say_nothing() -> None:
    rig = everywhere()
    rig.prefers(Storage.LINKED)
    await rig.watcher.look()
    assert await token(rig) == "live"
    assert rig.secret_of(ME) == "kept"


async def test_a_session_key_is_linked_to_no_login() -> None:
    rig = AccountsRig(Account("web", "o", AuthMethod.SESSION_KEY))
    rig.keyring.kept["web"] = Credential(KEY)
    rig.prefers(Storage.LINKED)
    credential = await rig.credentials.credential(rig.account("web"))
    assert (credential.secret, credential.auth_method) == (KEY, AuthMethod.SESSION_KEY)


@pytest.mark.parametrize("storage", [Storage.SYSTEMD, Storage.COMMAND])
async def test_a_session_key_may_come_from_anywhere_else(storage: Storage) -> None:
    rig = everywhere(storage, ARGV)
    rig.file.listed[0] = Account("web", "o", AuthMethod.SESSION_KEY, None, storage, None, ARGV)
    rig.given.by_name["web"] = Credential(Secret("given"))
    rig.book.load(rig.file.read())
    credential = await rig.credentials.credential(rig.account("web"))
    assert credential.auth_method is AuthMethod.SESSION_KEY


async def test_a_linked_token_is_read_live_and_written_nowhere() -> None:
    rig = everywhere(Storage.LINKED)
    rig.keyring.kept.clear()
    await rig.watcher.look()
    rig.knows("next", ME)
    rig.logins[0].renews("next", after(hours=16))
    rig.keyring.asked = 0
    assert await token(rig) == "next"
    assert (rig.keyring.asked, rig.keyring.kept) == (0, {})
    document = str(rig.entries)
    assert "next" not in document
    assert "live" not in document


async def test_an_unchanged_linked_login_is_read_once() -> None:
    rig = everywhere(Storage.LINKED)
    await rig.watcher.look()
    for _ in range(5):
        await token(rig)
    assert rig.logins[0].reads == 1


async def test_a_linked_account_does_not_care_for_a_locked_keyring() -> None:
    rig = everywhere(Storage.LINKED)
    rig.keyring.locked = True
    assert await token(rig) == "live"


async def test_a_linked_account_whose_login_is_gone_says_so() -> None:
    rig = everywhere(Storage.LINKED)
    await rig.watcher.look()
    rig.logins[0].token = None
    with pytest.raises(CredentialError, match="logged out: run `CLAUDE_CONFIG_DIR=/w") as error:
        await token(rig)
    assert error.value.reason is Reason.AUTH


async def test_a_linked_account_whose_login_nobody_can_identify_yet_says_that_instead() -> None:
    rig = AccountsRig(
        Account(ME, "org-1", AuthMethod.OAUTH, storage=Storage.LINKED, config_dir="/w")
    )
    rig.logins = [FakeLogin("live", "/w", after(hours=8))]
    rig.profiles.error = ApiError(Failure(Reason.CONNECTION, detail="no network"))
    await rig.watcher.look()
    with pytest.raises(CredentialError, match=r"whose the new login is \(no network"):
        await token(rig)


async def test_a_command_is_asked_for_another_token_after_a_refusal() -> None:
    rig = everywhere(Storage.COMMAND, ARGV)
    rig.commands[ARGV].tokens.append("second")
    first = await rig.credentials.credential(rig.account(ME))
    other = await rig.credentials.credential(rig.account(ME), rejected=first)
    assert (first.secret, other.secret) == (Secret("printed"), Secret("second"))


async def test_a_systemd_credential_that_was_replaced_is_read_again() -> None:
    rig = everywhere(Storage.SYSTEMD)
    await token(rig)
    rig.given.by_name[ME] = Credential(Secret("second"))
    assert await token(rig) == "second"


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        (Storage.SYSTEMD, "renew the systemd credential"),
        (Storage.COMMAND, "a token that has expired: give it a new one"),
    ],
)
async def test_a_token_that_the_user_renews_waits_for_the_user(
    storage: Storage, words: str
) -> None:
    rig = everywhere(storage, ARGV)
    rig.given.by_name[ME] = rig.commands[ARGV].dead = Credential(
        Secret("dead"), expires_at=after(seconds=1)
    )
    with pytest.raises(CredentialError, match=words) as error:
        await token(rig)
    assert error.value.reason is Reason.AUTH


async def test_a_credential_that_systemd_has_not_given_is_named() -> None:
    rig = everywhere(Storage.SYSTEMD)
    rig.given.by_name.clear()
    with pytest.raises(CredentialError, match=r"LoadCredentialEncrypted=me@example\.com"):
        await token(rig)


async def test_where_no_keyring_is_to_be_had_a_known_login_is_read_live() -> None:
    rig = everywhere()
    rig.given.by_name.clear()
    rig.keyring.absent = True
    assert await token(rig) == "live"


async def test_where_nothing_works_all_four_ways_are_named_in_one_line() -> None:
    rig = AccountsRig(IMPORTED)
    rig.learnt[ME] = CachedAccount(token_digest="0" * 12)
    rig.keyring.absent = True
    with pytest.raises(CredentialError) as error:
        await token(rig)
    told = str(error.value)
    assert "\n" not in told
    for way in ("keyring", '"linked"', "token_command", "systemd"):
        assert way in told


async def test_where_no_login_was_found_yet_it_is_a_login_that_is_lacking_and_no_keyring() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    rig.keyring.absent = True
    with pytest.raises(CredentialError) as error:
        await token(rig)
    assert str(error.value) == "no login found yet: run `claude` and use /login"
    rig.knows("t1", ME)
    rig.logins[0].renews("t1", after(hours=8))
    await rig.watcher.look()
    assert await token(rig) == "t1", "without being imported"


async def test_a_session_key_needs_a_keyring_or_another_way() -> None:
    rig = AccountsRig()
    rig.keyring.absent = True
    with pytest.raises(CredentialError, match=r"no system keyring available: .*token_command"):
        await rig.book.add(AddAccount("web", KEY, "o"))
    assert rig.names == []


@pytest.mark.parametrize("storage", [Storage.LINKED, Storage.SYSTEMD, Storage.COMMAND])
async def test_what_is_not_ours_is_not_deleted_either(storage: Storage) -> None:
    rig = everywhere(storage, ARGV)
    rig.keyring.locked = True
    await rig.book.remove(ME)
    assert rig.names == []


async def test_a_linked_account_is_renamed_without_a_keyring() -> None:
    rig = everywhere(Storage.LINKED)
    rig.keyring.absent = True
    await rig.watcher.look()
    await rig.book.edit(EditAccount(ME, "work", "org-1", None))
    assert await token(rig, "work") == "live"


async def test_an_account_that_gets_a_session_key_is_linked_no_more() -> None:
    rig = everywhere(Storage.LINKED)
    rig.given.by_name.clear()
    await rig.book.edit(EditAccount(ME, ME, "o", KEY))
    assert rig.file.listed[0].storage is None
    assert (await rig.credentials.credential(rig.file.listed[0])).secret == KEY


async def test_a_session_key_that_nothing_can_keep_is_not_advised_to_be_linked() -> None:
    rig = AccountsRig(Account("web", "o", AuthMethod.SESSION_KEY))
    rig.keyring.absent = True
    for work in (
        rig.book.add(AddAccount("new", KEY, "o-2")),
        rig.credentials.credential(rig.file.listed[0]),
    ):
        with pytest.raises(CredentialError, match="no system keyring available") as caught:
            await work
        assert "linked" not in str(caught.value)
        assert "token_command" in str(caught.value)


@pytest.mark.parametrize("storage", [Storage.SYSTEMD, Storage.COMMAND])
async def test_a_key_that_is_had_from_elsewhere_is_not_typed_in(storage: Storage) -> None:
    rig = everywhere(storage, ARGV)
    with pytest.raises(TrackerError, match="nothing was changed"):
        await rig.book.edit(EditAccount(ME, ME, "o", KEY))
    assert rig.secret_of(ME) == "kept"
    assert rig.file.listed[0].org_id == "org-1"


class NoUsage:
    """Nobody is asked."""

    async def usage(self, *_: object) -> Usage:
        raise AssertionError("a request was sent")


async def test_a_keyring_that_is_locked_at_the_start_is_taken_up_when_it_is_unlocked() -> None:
    """Nobody presses a key: the account is due at once, long before its next attempt."""
    rig = AccountsRig(Account(ME, "org-1"))
    rig.keyring.kept[ME] = Credential(Secret("kept"), expires_at=after(hours=8))
    rig.keyring.locked = True
    poller = Poller(
        rig.store, ServerClock(rig.clock), rig.credentials, NoUsage(), lambda: 0.0, OwnRequests()
    )
    rig.store.dispatch(PollStarted(rig.clock.now(), ME))
    await poller.poll(ME)
    down = rig.store.state.accounts[ME].down
    assert down is not None
    assert down.failure.reason is Reason.CREDENTIALS
    assert "locked" in describe(down.failure)
    await rig.watcher.look()
    rig.keyring.locked = False
    rig.clock.step(timedelta(seconds=15))
    await rig.watcher.look()
    assert rig.store.state.accounts[ME].next_poll_at == rig.clock.now()
    assert await token(rig) == "kept"


@pytest.mark.parametrize("cause", [Cause.LOCKED, Cause.SILENT, Cause.DENIED])
async def test_with_a_login_of_claude_code_at_hand_an_account_needs_no_keyring(
    cause: Cause,
) -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.KEYRING))
    rig.knows("live", ME)
    rig.logins = [FakeLogin("live", expires_at=after(hours=8))]
    rig.keyring.cause = cause
    assert await token(rig) == "live"
    before = rig.store.state
    for _ in range(3):
        await rig.watcher.look()
        assert await token(rig) == "live"
    assert rig.store.state is before, "a token that is known is no news at each poll"
    rig.keyring.cause = None
    rig.clock.step(timedelta(seconds=15))
    await rig.watcher.look()
    assert (rig.secret_of(ME) == "live") is (cause is Cause.LOCKED), "who said no is not asked"


async def test_a_systemd_credential_that_is_missing_is_not_replaced_by_a_login_of_claude_code() -> (
    None
):
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.SYSTEMD))
    rig.knows("live", ME)
    rig.logins = [FakeLogin("live", expires_at=after(hours=8))]
    await rig.watcher.look()
    with pytest.raises(CredentialError, match="no systemd credential"):
        await token(rig)


async def test_a_locked_keyring_is_asked_seldom() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    rig.keyring.locked = True
    with pytest.raises(CredentialError):
        await token(rig)
    rig.keyring.asked = 0
    for _ in range(12):
        rig.clock.step(timedelta(seconds=5))
        await rig.watcher.look()
    assert rig.keyring.asked <= 6


async def test_a_keyring_that_stops_does_no_harm_to_a_token_that_is_known() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    rig.keyring.kept[ME] = Credential(Secret("kept"))
    await token(rig)
    rig.keyring.absent = True
    assert await token(rig) == "kept"


async def test_a_keyring_that_says_no_is_not_asked_by_the_clock() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    rig.keyring.cause = Cause.DENIED
    with pytest.raises(CredentialError):
        await token(rig)
    rig.keyring.asked = 0
    rig.clock.step(timedelta(hours=1))
    await rig.watcher.look()
    assert rig.keyring.asked == 0
