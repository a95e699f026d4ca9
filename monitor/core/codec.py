"""Typed values as plain JSON values and back, by the fields and type hints of their dataclasses. Pure.

One codec serves the state that followers mirror, the rows of the state database and the requests on the socket: a new
field is carried by all of them without a line here. A field equal to its default is left out, and read as its default
where it is missing, so documents are small and older ones stay readable. Unknown fields are ignored: a follower of the
version before goes on, and loses only what it could not show anyway.

    dataclass                 object of its fields; in a union with others, its class name stands under "type"
    datetime, timedelta       whole microseconds, of an instant since 1970
    Decimal, enum             its text, its value
    tuple, frozenset          list; a set is sorted
    mapping                   object; a list of pairs where keys are no texts
    Any                       as it is, unchecked: what another program has sent, for its reader to judge

Of the libraries for this, msgspec refuses a union of two dataclasses, so it takes neither the state nor the requests.
cattrs has to be taught datetime, timedelta, Decimal and the union, and then still reads true as 1.0, "no" as True and
NaN as a number, passes a Secret on, and raises groups that are no ValueError.
"""

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from itertools import repeat
from typing import (
    Any,
    Final,
    NamedTuple,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from monitor.core.model import Secret

TAG: Final = "type"
"""The key under which an object of a union names its class."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_LARGEST: Final = 2**1023
"""No whole number is larger: metrics and the table make a float of it."""

T = TypeVar("T")


class DecodeError(ValueError):
    """A plain value that is none of the wanted type; its text names the place, such as `usage.windows[2].key`."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def inside(self, step: str) -> "DecodeError":
        """Prefix the place with a step, on the way out of nested values."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        self.place = f"{step}{joint}{self.place}"
        return self

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem


class _Codec(NamedTuple):
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def encode(kind: Any, value: Any, *, secrets: bool = False) -> Any:
    """Make plain JSON values of a value that is declared to be of this type, which may be a union.

    Raises TypeError for a type that could hold a Secret, whether or not the value has one, unless the caller wants
    secrets carried: only requests on the socket do. Raises ValueError for a number that JSON has no word for.
    """
    return _compile(kind, secrets).encode(value)


@overload
def decode(kind: type[T], plain: Any, *, secrets: bool = False) -> T: ...
@overload
def decode(kind: Any, plain: Any, *, secrets: bool = False) -> Any: ...
def decode(kind: Any, plain: Any, *, secrets: bool = False) -> Any:
    """Make a value of this type of plain JSON values. Raises DecodeError, whatever the plain values are."""
    return _compile(kind, secrets).decode(plain)


@cache
def _compile(kind: Any, secrets: bool) -> _Codec:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind is Secret:
        if not secrets:
            raise TypeError("a secret stands in no document")
        return _Codec(Secret.reveal, lambda plain: Secret(_text(plain)))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, secrets)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(arguments, secrets)
    if origin is tuple and arguments[1:] != (...,):
        return _fixed_tuple([_compile(one, secrets) for one in arguments])
    if origin in (tuple, frozenset):
        return _sequence(origin, _compile(arguments[0], secrets))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = (_compile(one, secrets) for one in arguments)
        has_text_keys = isinstance(arguments[0], type) and issubclass(arguments[0], str)
        return _object(key, value) if has_text_keys else _pairs(key, value)
    raise TypeError(f"values of the type {kind} cannot be encoded")


def _dataclass(kind: type, secrets: bool) -> _Codec:
    hints = get_type_hints(kind)
    codecs = {one.name: _compile(hints[one.name], secrets) for one in fields(kind)}
    defaults = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory()
        for one in fields(kind)
    }
    required = frozenset(name for name, default in defaults.items() if default is MISSING)
    own = [(name, codec.encode, defaults[name]) for name, codec in codecs.items()]
    find = {name: codec.decode for name, codec in codecs.items()}.get

    def encode(value: Any) -> dict[str, Any]:
        plain = {}
        for name, encode_field, default in own:
            item = getattr(value, name)
            if item is not default and (default is MISSING or item != default):
                plain[name] = encode_field(item)
        return plain

    def decode(plain: Any) -> Any:
        if not isinstance(plain, dict):
            _refuse("an object", plain)
        found = {}
        name = ""
        try:
            for name, item in plain.items():
                if decode_field := find(name):
                    found[name] = decode_field(item)
        except DecodeError as error:
            raise error.inside(name) from None
        if not found.keys() >= required:
            raise DecodeError(f"{min(required - found.keys())} is missing")
        return kind(**found)

    return _Codec(encode, decode)


def _union(arguments: tuple[Any, ...], secrets: bool) -> _Codec:
    """None, and either one member of any type or dataclasses alone, which are told apart by their tag."""
    has_none = types.NoneType in arguments
    members = {one.__name__: one for one in arguments if one is not types.NoneType}
    codecs = {tag: _compile(one, secrets) for tag, one in members.items()}
    if has_none and len(arguments) == 2:
        (only,) = codecs.values()
        return _Codec(
            lambda value: None if value is None else only.encode(value),
            lambda plain: None if plain is None else only.decode(plain),
        )
    if any(not is_dataclass(one) or TAG in one.__dataclass_fields__ for one in members.values()):
        raise TypeError(f"a tag cannot distinguish the members of this union: {', '.join(members)}")

    def encode(value: Any) -> Any:
        if value is None and has_none:
            return None
        tag = type(value).__name__
        if members.get(tag) is not type(value):
            raise TypeError(f"{tag} is none of {', '.join(members)}")
        return {TAG: tag, **codecs[tag].encode(value)}

    def decode(plain: Any) -> Any:
        if plain is None and has_none:
            return None
        tag = plain.get(TAG) if isinstance(plain, dict) else None
        if not isinstance(tag, str) or tag not in codecs:
            raise DecodeError(f"{TAG} has to be one of {', '.join(codecs)}")
        return codecs[tag].decode(plain)

    return _Codec(encode, decode)


def _sequence(kind: Callable[[Iterable[Any]], Any], codec: _Codec) -> _Codec:
    encode_item, decode_item = codec
    ordered: Callable[[Iterable[Any]], Iterable[Any]] = sorted if kind is frozenset else iter

    def decode(plain: Any) -> Any:
        if not isinstance(plain, list):
            _refuse("a list", plain)
        return kind(_decode_items(repeat(decode_item), plain))

    return _Codec(lambda value: [encode_item(item) for item in ordered(value)], decode)


def _decode_items(decoders: Iterable[Callable[[Any], Any]], plain: list[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        for decode, item in zip(decoders, plain, strict=False):  # decoders may be without end
            items.append(decode(item))
    except DecodeError as error:
        raise error.inside(f"[{len(items)}]") from None
    return items


def _fixed_tuple(codecs: list[_Codec]) -> _Codec:
    decoders = [codec.decode for codec in codecs]

    def encode(value: Any) -> list[Any]:
        return [codec.encode(item) for codec, item in zip(codecs, value, strict=True)]

    def decode(plain: Any) -> Any:
        if not isinstance(plain, list) or len(plain) != len(codecs):
            _refuse(f"a list of {len(codecs)}", plain)
        return tuple(_decode_items(decoders, plain))

    return _Codec(encode, decode)


def _object(key: _Codec, value: _Codec) -> _Codec:
    def encode(mapping: Mapping[Any, Any]) -> Any:
        return {key.encode(name): value.encode(item) for name, item in mapping.items()}

    def decode(plain: Any) -> Any:
        if not isinstance(plain, dict):
            _refuse("an object", plain)
        found = {}
        name = None
        try:
            for name, item in plain.items():
                found[key.decode(name)] = value.decode(item)
        except DecodeError as error:
            raise error.inside(_step(name)) from None
        return found

    return _Codec(encode, decode)


def _step(name: Any) -> str:
    """Make a step of a path from a key; a strange one is escaped, so that logs and terminals can show it."""
    return name[:40] if isinstance(name, str) and name.isprintable() else ascii(name)[:40]


def _pairs(key: _Codec, value: _Codec) -> _Codec:
    pairs = _sequence(tuple, _fixed_tuple([key, value]))
    return _Codec(
        lambda mapping: pairs.encode(mapping.items()), lambda plain: dict(pairs.decode(plain))
    )


def _enum(kind: type[StrEnum]) -> _Codec:
    members: dict[str, StrEnum] = {one.value: one for one in kind}

    def decode(plain: Any) -> StrEnum:
        if not isinstance(plain, str) or plain not in members:
            raise DecodeError(f"has to be one of {', '.join(members)}")
        return members[plain]

    return _Codec(lambda value: value.value, decode)


def _text(plain: Any) -> str:
    if not isinstance(plain, str):
        _refuse("a text", plain)
    if not plain.isascii():
        try:
            plain.encode()
        except UnicodeEncodeError:  # half a character, which no file and no terminal takes
            raise DecodeError("is no valid text") from None
    return plain


def _bool(plain: Any) -> bool:
    return plain if isinstance(plain, bool) else _refuse("true or false", plain)


def _int(plain: Any) -> int:
    if type(plain) is not int:  # a bool is an instance of int, too
        _refuse("a whole number", plain)
    if not -_LARGEST <= plain <= _LARGEST:
        raise DecodeError("is too large a number")
    return plain


def _float(plain: Any) -> float:
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        _refuse("a number", plain)
    number = plain if isinstance(plain, float) else float(_int(plain))
    if not math.isfinite(number):
        raise DecodeError("is no finite number")
    return number


def _encode_float(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"JSON has no word for {value}")
    return value


def _duration(plain: Any) -> timedelta:
    if type(plain) is not int:
        _refuse("a whole number", plain)
    try:
        return timedelta(0, 0, plain)
    except OverflowError:
        raise DecodeError("is too long a time") from None


def _instant(plain: Any) -> datetime:
    span = _duration(plain)
    try:
        return _EPOCH + span
    except OverflowError:
        raise DecodeError("is no instant of the calendar") from None


def _decimal(plain: Any) -> Decimal:
    try:
        number = Decimal(_text(plain))
    except InvalidOperation:
        raise DecodeError("is no decimal number") from None
    if not number.is_finite() or not math.isfinite(float(number)):
        raise DecodeError("is no finite number")
    return number


def _refuse(wanted: str, plain: Any) -> NoReturn:
    raise DecodeError(f"has to be {wanted}, not {type(plain).__name__}")


def _encode_text(value: str) -> str:
    """Replace half characters, as a folder whose name is no text has them: the reader would refuse the document."""
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _same(value: Any) -> Any:
    return value


_SIMPLE: Final[Mapping[Any, _Codec]] = {
    str: _Codec(_encode_text, _text),
    bool: _Codec(_same, _bool),
    int: _Codec(_same, _int),
    float: _Codec(_encode_float, _float),
    datetime: _Codec(lambda value: (value - _EPOCH) // _TICK, _instant),
    timedelta: _Codec(lambda value: value // _TICK, _duration),
    Decimal: _Codec(str, _decimal),
    Any: _Codec(_same, _same),
}
