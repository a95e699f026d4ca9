import pytest

from monitor.accounts.learnt import MOST_LEFT, Facts, Learnt
from monitor.demo.places import MemoryDocument
from tests.builders import after


def learnt(**entry: object) -> Learnt:
    document = MemoryDocument()
    document.save({"a": entry})
    return Learnt(document)


@pytest.mark.parametrize(
    ("entry", "folders"),
    [
        ({"folder": "/work"}, ("/work",)),
        ({"folder": ""}, ("",)),
        ({}, ()),
        ({"folder": 7}, ()),
        ({"folders": ["/a", "", "/a"]}, ("/a", "")),
        ({"folders": "/a"}, ()),
        ({"folders": [None, {}]}, ()),
    ],
)
def test_the_folder_of_an_older_version_is_taken_over(
    entry: dict[str, object], folders: tuple[str, ...]
) -> None:
    assert learnt(**entry)["a"].folders == folders


def test_places_survive_a_restart() -> None:
    document = MemoryDocument()
    before = Learnt(document)
    before["a"] = Facts().moved_in("").moved_in("/b").moved_out("")
    assert Learnt(document)["a"] == Facts(folders=("/b",), left=("",))


def test_a_folder_that_is_come_back_to_is_left_no_more() -> None:
    facts = Facts().moved_in("/a").moved_out("/a")
    assert (facts.folders, facts.left) == ((), ("/a",))
    assert facts.moved_in("/a") == Facts(folders=("/a",))


def test_leaving_where_one_never_lived_changes_nothing() -> None:
    assert Facts(folders=("/a",)).moved_out("/b") == Facts(folders=("/a",))


def test_folders_that_were_left_are_followed_on_but_not_without_end() -> None:
    known = learnt()
    for number in range(20):
        known["a"] = known["a"].moved_in(f"/{number}").moved_out(f"/{number}")
    assert known.folders() == {f"/{n}" for n in range(20 - MOST_LEFT, 20)}


def test_the_default_folder_needs_no_name_to_be_followed() -> None:
    assert learnt(folders=["", "/b"]).folders() == {"/b"}


def test_the_end_of_a_login_is_forgotten_with_its_last_folder() -> None:
    facts = Facts(folders=("/a", "/b"), login_expires_at=after(days=2))
    assert facts.moved_out("/a").login_expires_at == after(days=2)
    assert facts.moved_out("/a").moved_out("/b").login_expires_at is None
