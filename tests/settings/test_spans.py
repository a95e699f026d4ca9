"""Places in a TOML text: each path that tomllib knows has one, and it holds the value that tomllib gives."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from monitor.settings.schema import KeyPath
from monitor.settings.source import places_in

ODD = """\
a.b."c.d" = 'x' # comment [no] = "table"
'quoted key' = \"\"\"
[not.a.table]
key = "no key" \\"\"\" still \"\"\"\"
date = 1979-05-27 07:32:00  # a value with a space
list = [ 1, # one, two ]
  [ "]", '#' ], { x = 1, y.z = [ {} ] },
]
empty = {}
[table] # comment
  indented   =   true
[ spaced . "out" ]
lit = '''
it''s'''
[[many]]
[many.sub]
n = -1.5e3
[[many]]
n = +inf
[[many.nested]]
deep = 0xff
[[many.nested]]
deep = 0b1
[last]
k=1"""


def paths_of(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key), inner
        if isinstance(inner, dict | list):
            yield from paths_of(inner, (*path, key))


def assert_places_fit(text: str) -> None:
    known = dict(paths_of(tomllib.loads(text)))
    places = places_in(text)
    assert {*places} == {*known}
    for path, place in places.items():
        if not isinstance(known[path], dict | list):
            assert tomllib.loads(f"v = {text[place.value : place.end]}")["v"] == known[path]


@pytest.mark.parametrize("text", [ODD, ODD.replace("\n", "\r\n"), "", "# only a comment", "\n\n"])
def test_each_key_of_an_odd_text_has_its_place(text: str) -> None:
    assert_places_fit(text)


scalars = (
    st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.datetimes()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_each_key_of_any_text_has_its_place(document: dict[str, Any], newline: str) -> None:
    text = tomlkit.dumps(document).replace("\n", newline)
    assert_places_fit(text)


def test_a_table_reaches_from_its_header_to_its_last_statement() -> None:
    text = "[a]\nx = 1 # c\n# d\n\n[b]\n"
    places = places_in(text)
    assert text[places[("a",)].start : places[("a",)].end] == "[a]\nx = 1"
    assert text[places[("b",)].start : places[("b",)].end] == "[b]"
