import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from monitor.core.errors import ApiError, Failure, Reason
from monitor.core.model import Account, Credential, Secret, Storage
from monitor.credentials.claude_code import LoginSource
from tests.builders import after
from tests.credentials.factories import AccountsRig, FakeLogin
from tests.fakes import settle

ME, YOU = "me@example.com", "you@example.com"


async def rig_with_me() -> AccountsRig:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.logins[0].token = "t1"
    await rig.import_from(rig.logins)
    return rig


async def test_the_account_whose_token_claude_code_uses_is_logged_in() -> None:
    rig = await rig_with_me()
    rig.profiles.asked.clear()
    await rig.watcher.look()
    assert rig.store.state.logged_in == ME
    assert rig.profiles.asked == [], "compared locally"


async def test_it_is_compared_with_what_the_keyring_holds_after_a_restart() -> None:
    rig = await rig_with_me()
    rig.start()
    await rig.watcher.look()
    assert rig.store.state.logged_in == ME


async def test_a_renewed_token_is_taken_over_by_itself() -> None:
    rig = await rig_with_me()
    await rig.watcher.look()
    rig.knows("t2", ME)
    rig.logins[0].token, rig.logins[0].expires_at = "t2", after(hours=8)
    await rig.watcher.look()
    assert rig.secret_of(ME) == "t2"
    assert (await rig.credentials.credential(rig.file.listed[0])).secret == Secret("t2")
    assert rig.store.state.accounts[ME].token_expires_at == after(hours=8)
    assert rig.store.state.logged_in == ME


async def test_an_unchanged_login_is_not_read_again() -> None:
    rig = await rig_with_me()
    for _ in range(5):
        await rig.watcher.look()
    assert rig.logins[0].reads == 2, "once for the import, once for the watcher"


async def test_a_login_of_another_known_account_is_attached_to_that_one() -> None:
    rig = await rig_with_me()
    rig.knows("u1", YOU, org="org-2")
    await rig.import_from([FakeLogin("u1", "/you")])
    await rig.watcher.look()
    rig.knows("u2", YOU, org="org-2")
    rig.logins[0].token = "u2"
    await rig.watcher.look()
    assert rig.store.state.logged_in == YOU
    assert (rig.secret_of(ME), rig.secret_of(YOU)) == ("t1", "u2")


async def test_a_stranger_is_not_imported_and_asked_about_once() -> None:
    rig = await rig_with_me()
    rig.knows("s1", "stranger@example.com", org="org-9")
    rig.logins[0].token = "s1"
    rig.profiles.asked.clear()
    for _ in range(5):
        await rig.watcher.look()
    assert rig.store.state.logged_in is None
    assert rig.names == [ME]
    assert rig.profiles.asked == ["s1"]


async def test_a_stranger_who_is_imported_is_logged_in() -> None:
    rig = await rig_with_me()
    rig.knows("s1", "stranger@example.com", org="org-9")
    rig.logins[0].token = "s1"
    await rig.watcher.look()
    await rig.import_from(rig.logins)
    await rig.watcher.look()
    assert rig.store.state.logged_in == "stranger@example.com"


async def test_a_logout_is_seen() -> None:
    rig = await rig_with_me()
    await rig.watcher.look()
    rig.logins[0].token = None
    await rig.watcher.look()
    assert rig.store.state.logged_in is None
    assert rig.secret_of(ME) == "t1", "the account keeps its last token"


async def test_only_the_place_in_use_decides_who_is_logged_in() -> None:
    rig = await rig_with_me()
    rig.knows("u1", YOU, org="org-2")
    rig.logins.append(FakeLogin("u1", "/you"))
    await rig.import_from(rig.logins[1:])
    await rig.watcher.look()
    assert rig.store.state.logged_in == ME
    rig.knows("u2", YOU, org="org-2")
    rig.logins[1].token = "u2"
    await rig.watcher.look()
    assert (rig.store.state.logged_in, rig.secret_of(YOU)) == (ME, "u2")


async def test_without_a_network_a_new_token_is_asked_about_later() -> None:
    rig = await rig_with_me()
    await rig.watcher.look()
    rig.knows("t2", ME)
    rig.logins[0].token = "t2"
    rig.profiles.error = ApiError(Failure(Reason.CONNECTION, detail="no network"))
    rig.profiles.asked.clear()
    await rig.watcher.look()
    await rig.watcher.look()
    assert len(rig.profiles.asked) == 1, "not at every look"
    for _ in range(10):  # the network stays away for some minutes
        rig.clock.step(timedelta(seconds=20))
        await rig.watcher.look()
    rig.profiles.error = None
    rig.clock.step(timedelta(seconds=20))
    await rig.watcher.look()
    assert rig.secret_of(ME) == "t2"


async def test_a_refused_token_is_not_asked_about_again() -> None:
    rig = await rig_with_me()
    rig.logins[0].token = "setup-token"
    rig.profiles.asked.clear()
    for _ in range(3):
        await rig.watcher.look()
        rig.clock.step(timedelta(hours=1))
    assert rig.profiles.asked == ["setup-token"]


async def test_a_dead_token_is_not_sent_to_be_identified() -> None:
    rig = await rig_with_me()
    rig.logins[0].token, rig.logins[0].expires_at = "t2", after(seconds=30)
    rig.profiles.asked.clear()
    await rig.watcher.look()
    assert rig.profiles.asked == []


async def test_a_locked_keyring_is_waited_for() -> None:
    rig = await rig_with_me()
    rig.start()
    rig.keyring.locked = True
    await rig.watcher.look()
    rig.keyring.locked = False
    rig.clock.step(timedelta(minutes=1))
    await rig.watcher.look()
    assert rig.store.state.logged_in == ME


async def test_an_account_of_older_settings_is_followed_too() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    await rig.keyring.write(ME, Secret("t0"))
    rig.knows("t1", ME)
    rig.logins[0].token = "t1"
    await rig.watcher.look()
    assert (rig.secret_of(ME), rig.store.state.logged_in) == ("t1", ME)


async def test_neither_a_look_nor_a_poll_reads_the_settings() -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.LINKED, config_dir="/w"))
    rig.file.unreadable = True
    rig.knows("t1", ME)
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    assert (await rig.credentials.credential(rig.account(ME))).secret == Secret("t1")
    rig.knows("t2", ME)
    rig.logins[0].renews("t2", after(hours=16))
    await rig.watcher.look()
    assert (await rig.credentials.credential(rig.account(ME))).secret == Secret("t2")


async def test_a_poll_waits_for_its_own_place_and_for_no_other_one() -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.LINKED, config_dir="/w"))
    rig.knows("t1", ME)
    rig.logins = [FakeLogin("x", "/x", hangs=True), FakeLogin("t1", "/w", after(hours=8))]
    assert (await rig.credentials.credential(rig.account(ME))).secret == Secret("t1")


async def test_of_many_accounts_the_keyring_is_asked_about_each_only_a_few_times() -> None:
    people = [f"user{number}@example.com" for number in range(40)]
    rig = AccountsRig(*map(Account, people))
    rig.logins = [FakeLogin(f"t{number}", f"/{number}") for number in range(len(people))]
    for number, name in enumerate(people):
        rig.knows(f"t{number}", name, org=f"org-{number}")
    await rig.watcher.look()
    assert [place.owner for place in rig.registry.places.values()] == people
    assert rig.keyring.asked <= 5 * len(people)


def of_nobody_known(*logins: FakeLogin) -> AccountsRig:
    """An account that nobody has identified, nor can anybody be asked now; `t1` is kept for it."""
    rig = AccountsRig(Account(ME, "org-1"))
    rig.profiles.error = ApiError(Failure(Reason.SERVER))
    rig.keyring.kept[ME] = Credential(Secret("t1"))
    rig.logins = list(logins)
    return rig


async def owners_after_a_look(rig: AccountsRig) -> list[str | None]:
    await rig.watcher.look()
    return [place.owner for place in rig.registry.places.values()]


async def test_a_keyring_that_comes_later_is_asked_for_the_owner_of_a_token() -> None:
    rig = of_nobody_known(FakeLogin("x", "/x"))
    rig.keyring.absent = True
    assert await owners_after_a_look(rig) == [None]
    rig.keyring.absent = False
    rig.logins.append(FakeLogin("t1", "/a"))
    assert await owners_after_a_look(rig) == [None, ME]


async def test_a_token_that_was_replaced_in_the_keyring_says_no_owner_any_more() -> None:
    rig = of_nobody_known(FakeLogin("t1", "/a"))
    assert await owners_after_a_look(rig) == [ME]
    rig.logins[0].renews("t2", after(hours=8))
    account = rig.account(ME)
    await rig.credentials.confirm(account, await rig.credentials.credential(account))
    assert rig.secret_of(ME) == "t2"
    rig.logins.append(FakeLogin("t1", "/b"))
    assert await owners_after_a_look(rig) == [ME, None]


@pytest.mark.parametrize(
    ("before", "now", "owner"), [(Storage.LINKED, None, ME), (None, Storage.LINKED, None)]
)
async def test_the_keyring_says_whose_a_token_is_only_while_it_is_the_storage(
    before: Storage | None, now: Storage | None, owner: str | None
) -> None:
    rig = of_nobody_known(FakeLogin("x", "/x"))
    rig.prefers(before)
    assert await owners_after_a_look(rig) == [None]
    rig.prefers(now)
    rig.logins.append(FakeLogin("t1", "/a"))
    assert await owners_after_a_look(rig) == [None, owner]


async def test_polls_that_begin_together_need_one_search_for_places() -> None:
    rig, searches = await rig_with_me(), 0

    async def sources(_: Sequence[str]) -> Sequence[LoginSource]:
        nonlocal searches
        searches += 1
        await asyncio.sleep(0)
        return rig.logins

    rig.start(sources)
    account = rig.file.listed[0]
    found = await asyncio.gather(*(rig.credentials.credential(account) for _ in range(8)))
    assert {credential.secret for credential in found} == {Secret("t1")}
    assert searches == 1


async def test_a_poll_waits_for_no_search_once_the_places_are_known() -> None:
    rig, disk_answers = await rig_with_me(), asyncio.Event()
    disk_answers.set()

    async def sources(_: Sequence[str]) -> Sequence[LoginSource]:
        await disk_answers.wait()
        return rig.logins

    rig.start(sources)
    await rig.watcher.look()
    disk_answers.clear()
    searching = asyncio.create_task(rig.watcher.look())
    await settle()
    async with asyncio.timeout(5):
        assert (await rig.credentials.credential(rig.account(ME))).secret == Secret("t1")
    assert not searching.done()
    disk_answers.set()
    await searching
