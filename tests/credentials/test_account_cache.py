from dataclasses import replace
from typing import Any

import pytest

from monitor.core.model import Account, AuthMethod, Identity, Secret
from monitor.credentials.account_cache import MOST_LEFT, MOST_PROFILES, AccountCache, CachedAccount
from tests.builders import after
from tests.credentials.factories import profile
from tests.fakes import Entries


def learnt(**entry: object) -> AccountCache:
    return AccountCache({"a": entry})


@pytest.mark.parametrize("entry", [None, 5, [], {"folders": 7}, {"identity": {"x": 1}}])
def test_an_entry_that_cannot_be_read_is_learnt_again(entry: object) -> None:
    known = AccountCache({"a": entry, "b": {"plan": "pro"}})
    assert (known["a"], known["b"].plan) == (CachedAccount(), "pro")


def test_places_survive_a_restart() -> None:
    entries = Entries()
    before = AccountCache(entries, entries.save)
    before["a"] = CachedAccount().move_in("").move_in("/b").move_out("")
    assert AccountCache(entries)["a"] == CachedAccount(folders=("/b",), left=("",))


def test_a_folder_that_is_come_back_to_is_left_no_more() -> None:
    facts = CachedAccount().move_in("/a").move_out("/a")
    assert (facts.folders, facts.left) == ((), ("/a",))
    assert facts.move_in("/a") == CachedAccount(folders=("/a",))


def test_leaving_where_one_never_lived_changes_nothing() -> None:
    assert CachedAccount(folders=("/a",)).move_out("/b") == CachedAccount(folders=("/a",))


def test_folders_that_were_left_are_followed_on_but_not_without_end() -> None:
    known = learnt()
    for number in range(20):
        known["a"] = known["a"].move_in(f"/{number}").move_out(f"/{number}")
    assert known.folders() == {f"/{n}" for n in range(20 - MOST_LEFT, 20)}


def test_the_default_folder_needs_no_name_to_be_followed() -> None:
    assert learnt(folders=["", "/b"]).folders() == {"/b"}


def test_the_end_of_a_login_is_forgotten_with_its_last_folder() -> None:
    facts = CachedAccount(folders=("/a", "/b"), login_expires_at=after(days=2))
    assert facts.move_out("/a").login_expires_at == after(days=2)
    assert facts.move_out("/a").move_out("/b").login_expires_at is None


def test_whose_a_token_is_outlives_the_process_and_not_the_account() -> None:
    entries, me = Entries(), profile("me@example.com")
    before = AccountCache(entries, entries.save)
    before["me"] = CachedAccount().with_profile(me)
    before.remember(Secret("t1"), me)
    before.remember(Secret("s1"), profile("stranger@example.com"))
    assert "t1" not in str(entries)
    after_restart = AccountCache(entries, entries.save)
    assert after_restart.profile_of(Secret("t1")) == me
    assert after_restart["me"].identity == me.identity
    after_restart.forget("me")
    again = AccountCache(entries)
    assert again.profile_of(Secret("t1")) is None
    assert again.profile_of(Secret("s1")) == profile("stranger@example.com")


def test_of_tokens_without_end_the_newest_are_remembered() -> None:
    known = learnt()
    for number in range(MOST_PROFILES + 1):
        known.remember(Secret(f"t{number}"), profile("me@example.com"))
    assert known.profile_of(Secret("t0")) is None
    assert known.profile_of(Secret("t1")) is not None


@pytest.mark.parametrize("entry", [None, 7, {"t": 7}, {"t": {"email": "e"}}, {"t": {}}])
def test_odd_profiles_are_left_out(entry: object) -> None:
    known = AccountCache({"": {"profiles": entry}, "a": {"plan": "pro"}})
    assert known["a"].plan == "pro"


FORMER = CachedAccount(Identity("me", "org-1"), "pro", folders=("/w",))


@pytest.mark.parametrize(
    ("account", "is_known"),
    [
        (Account("new", "org-1"), True),
        (Account("new", "org-1", config_dir="/w"), True),
        (Account("new", "org-1", config_dir="/z"), False),
        (Account("new", "org-2"), False),
        (Account("new"), False),
        (Account("new", "org-1", AuthMethod.SESSION_KEY), False),
    ],
)
def test_an_account_that_was_renamed_by_hand_is_recognised(
    account: Account, is_known: bool
) -> None:
    known = learnt()
    known["old"] = FORMER
    known.recognise([account])
    assert known["new"] == (FORMER if is_known else CachedAccount())
    assert known["old"] == FORMER, "another settings file may name it"
    assert known.accounts_in("/w") == ({"new"} if is_known else set())


def test_an_account_is_not_recognised_beside_the_one_that_it_would_be() -> None:
    known = learnt()
    known["old"] = FORMER
    known.recognise([Account("old", "org-1"), Account("new", "org-1")])
    assert known["new"] == CachedAccount()


def test_where_several_accounts_of_the_organization_are_gone_none_is_recognised() -> None:
    known = learnt()
    known["old"] = FORMER
    known["older"] = replace(FORMER, identity=Identity("you", "org-1"))
    known.recognise([Account("new", "org-1")])
    assert known["new"] == CachedAccount()


def test_a_copy_that_claude_swap_keeps_outlives_the_last_folder_and_a_restart() -> None:
    entries = Entries()
    before = AccountCache(entries, entries.save)
    before["a"] = CachedAccount(folders=("/a",)).learn_swap(after(days=2)).move_out("/a")
    assert AccountCache(entries)["a"] == before["a"]
    assert AccountCache(entries)["a"].login_expires_at == after(days=2)


def test_a_change_of_one_account_saves_that_one_alone() -> None:
    entries, saved = Entries(), []

    def save(name: str, entry: Any) -> None:
        saved.append(name)
        entries.save(name, entry)

    known = AccountCache(entries, save)
    known["a"] = CachedAccount(plan="pro")
    known["b"] = CachedAccount(plan="team")
    known["a"] = CachedAccount(plan="pro")
    known.remember(Secret("t"), profile("me@example.com"))
    known.rename("b", "c")
    known.forget("a")
    assert saved == ["a", "b", "", "b", "c", "a"]
    assert entries.keys() == {"", "c"}
