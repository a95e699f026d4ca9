import html

from hypothesis import given
from hypothesis import strategies as st

from monitor.notify.channels.clean import escape_markup


@given(st.text(alphabet="<>&;alt\"' "))
def test_escaped_markup_reads_as_typed(text: str) -> None:
    assert "<" not in escape_markup(text)
    assert html.unescape(escape_markup(text)) == text
