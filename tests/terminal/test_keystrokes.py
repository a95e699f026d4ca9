"""Keys and pastes out of a terminal's bytes."""

import io

import blessed
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.terminal import tty
from monitor.terminal.tty import Key

TERM = blessed.Terminal(kind="xterm-256color", stream=io.StringIO(), force_styling=True)


def parse_keys(data: bytes, *, final: bool = False) -> tuple[list[Key], bytes]:
    return tty.parse_keys(TERM, data, final=final)


def names(data: bytes) -> list[str]:
    found, rest = parse_keys(data)
    assert rest == b""
    return [key.name for key in found]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"j", "j"),
        (b" ", " "),
        (b"?", "?"),
        (b"\r", "enter"),
        (b"\n", "enter"),
        (b"\t", "tab"),
        (b"\x1b[Z", "backtab"),
        (b"\x7f", "backspace"),
        (b"\x08", "backspace"),
        (b"\x1b[A", "up"),
        (b"\x1bOA", "up"),
        (b"\x1b[B", "down"),
        (b"\x1b[C", "right"),
        (b"\x1b[D", "left"),
        (b"\x1b[1;5C", "right"),
        (b"\x1b[H", "home"),
        (b"\x1bOH", "home"),
        (b"\x1b[1~", "home"),
        (b"\x1b[7~", "home"),
        (b"\x1b[F", "end"),
        (b"\x1b[4~", "end"),
        (b"\x1b[3~", "delete"),
        (b"\x1b[3;2~", "delete"),
        (b"\x1b[5~", "pgup"),
        (b"\x1b[6~", "pgdn"),
        (b"\x1bOM", "enter"),
        (b"\x0c", "ctrl+l"),
        (b"\x15", "ctrl+u"),
        ("é".encode(), "é"),
        ("日".encode(), "日"),
    ],
)
def test_a_key_has_a_name(data: bytes, name: str) -> None:
    assert names(data) == [name]


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b[12;40R",
        b"\x1b[?62;4c",
        b"\x1bP1+r544e=787465726d\x1b\\",
        b"\x1bP>|tmux 3.3a\x1b\\",
        b"\x1b]10;rgb:0000/0000/0000\x07",
        b"\x1b[I",
        b"\x1b[O",
        b"\x1b[<35;10;10M",
        b"\x1b[?2026;2$y",
        b"\x1b[[A",
        b"\x1bOP",
        b"\x1b[15~",
        b"\x1bd",
        b"\x1b\xc3\xa9",
        b"\x00",
        b"\xff",
        b"\xc3(",
        b"\xc2\x9b",
    ],
)
def test_what_means_nothing_never_looks_like_a_key(data: bytes) -> None:
    assert [name for name in names(data + b"q") if name != "("] == ["q"]


def test_several_keys_come_in_their_order() -> None:
    assert names(b"j\x1b[Bk\rq") == ["j", "down", "k", "enter", "q"]


def test_a_paste_is_one_key_whatever_is_in_it() -> None:
    found, rest = parse_keys(b"a\x1b[200~sk-ant\r\nq\x1b[A\x1b[201~b")
    assert found == [Key("a", "a"), Key("paste", "sk-ant\r\nq\x1b[A"), Key("b", "b")]
    assert rest == b""


def test_an_unfinished_paste_is_waited_for_and_then_taken_as_it_is() -> None:
    found, rest = parse_keys(b"\x1b[200~sk-ant")
    assert found == []
    assert parse_keys(rest + b"-1\x1b[201~")[0] == [Key("paste", "sk-ant-1")]
    assert parse_keys(rest, final=True) == ([Key("paste", "sk-ant")], b"")


def test_an_escape_is_a_key_of_its_own_only_when_nothing_follows() -> None:
    assert parse_keys(b"\x1b") == ([], b"\x1b")
    assert parse_keys(b"\x1b", final=True) == ([Key("esc")], b"")
    assert parse_keys(b"\x1b\x1b[A") == ([Key("esc"), Key("up")], b"")


def test_an_unfinished_sequence_is_waited_for_and_then_dropped() -> None:
    assert parse_keys(b"\x1b[1;") == ([], b"\x1b[1;")
    assert parse_keys(b"\x1b[1;", final=True) == ([], b"")


def test_a_pasted_text_is_not_in_the_keys_repr() -> None:
    assert "sk-ant" not in repr(Key("paste", "sk-ant-sid01"))


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_to_the_end(data: bytes) -> None:
    _, rest = parse_keys(data)
    assert data.endswith(rest)
    assert parse_keys(rest, final=True)[1] == b""


@given(
    st.lists(st.sampled_from([b"\x1b[A", b"j", "日".encode(), b"\x1b[200~x\x1b[201~"])), st.data()
)
def test_it_does_not_matter_how_the_bytes_were_cut(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole)))
    first, rest = parse_keys(whole[:cut])
    second, _ = parse_keys(rest + whole[cut:])
    assert first + second == parse_keys(whole)[0]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"\x1b[<0;12;4M", Key("click", "3")),
        (b"\x1b[<64;1;1M", Key("wheelup", "0")),
        (b"\x1b[<65;1;1M", Key("wheeldown", "0")),
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", Key("ground", "light")),
        (b"\x1b]11;rgb:fd/f6/e3\x07", Key("ground", "light")),
        (b"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\", Key("ground", "dark")),
        (b"\x1b[<0;12;4m", None),
        (b"\x1b[<2;12;4M", None),
        (b"\x1b]11;what\x07", None),
    ],
)
def test_the_mouse_and_the_ground_are_keys(data: bytes, key: Key | None) -> None:
    assert tty.parse_keys(TERM, data) == ([key] if key else [], b"")
