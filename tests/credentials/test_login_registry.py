"""The registry of logins: what it finds by owner and by folder is what it holds."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.model import Credential, Login, Secret
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.owners import LoginRegistry
from tests.credentials.factories import FakeLogin

NAMES = ("a", "b", "c")
FOLDERS = ("", "/x", "/y")
SOURCES = [
    *(FakeLogin(folder=folder) for folder in FOLDERS),
    *(FakeLogin(folder=folder, item=f"item of {folder}") for folder in FOLDERS),
    FakeLogin(folder=None, item="unknown"),
]

name = st.sampled_from(NAMES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from(SOURCES), st.none() | name),
        st.tuples(st.just("track"), st.lists(st.sampled_from(SOURCES), unique_by=id)),
        st.tuples(st.just("rename"), name, st.none() | name),
    )
)


@given(STEPS)
def test_places_are_found_by_owner_and_folder(steps: list[tuple[object, ...]]) -> None:
    registry = LoginRegistry(AccountCache({}))
    login = Login(Credential(Secret("t")))
    for verb, *arguments in steps:
        if verb == "assign":
            arguments.insert(1, login)
        getattr(registry, str(verb))(*arguments)
    places = list(registry.places.values())
    assert [place.number for place in places] == sorted(place.number for place in places)
    for owner in NAMES:
        for folder in FOLDERS:
            wanted = [p for p in places if p.owner == owner or p.source.folder == folder]
            assert registry.places_of(owner, {folder}) == wanted
        assert registry.places_of(owner) == [p for p in places if p.owner == owner]
