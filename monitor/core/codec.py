"""Typed values as plain JSON values and back, by the fields and type hints of their dataclasses. Pure.

One codec serves the state that followers mirror, the rows of the state database and the requests on the socket: a new
field is carried by all of them without a line here. A field equal to its default is left out, and read as its default
where it is missing, so documents are small and older ones stay readable. Unknown fields are ignored.

    dataclass                 object of its fields; in a union with others, its class name stands under "type"
    datetime, timedelta       whole microseconds, of an instant since 1970
    Decimal, enum             its text, its value
    tuple, frozenset          list; a set is sorted
    mapping                   object; a list of pairs where keys are no texts

Of the libraries for this, msgspec refuses a union of dataclasses, and cattrs has to be taught most of these types and
imports several times as long as json does, which every follower would wait for.
"""

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from typing import (
    Any,
    Final,
    NamedTuple,
    NoReturn,
    TypeVar,
    Union,
    cast,
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

T = TypeVar("T")


class DecodeError(ValueError):
    """A plain value that is none of the wanted type; its text names the place, such as `usage.windows[2].key`."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def inside(self, step: str) -> "DecodeError":
        """The same error, seen from one level further out."""
        self.place = step + (
            f".{self.place}" if self.place and not self.place.startswith("[") else self.place
        )
        return self

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem


class _Codec(NamedTuple):
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def encode(kind: Any, value: Any, *, secrets: bool = False) -> Any:
    """Make plain JSON values of a value that is declared to be of this type, which may be a union.

    Raises TypeError for a Secret, unless the caller wants secrets carried: only requests on the socket do.
    """
    return _compiled(kind, secrets).encode(value)


@overload
def decode(kind: type[T], plain: Any, *, secrets: bool = False) -> T: ...
@overload
def decode(kind: Any, plain: Any, *, secrets: bool = False) -> Any: ...
def decode(kind: Any, plain: Any, *, secrets: bool = False) -> Any:
    """Make a value of this type of plain JSON values. Raises DecodeError, whatever the plain values are."""
    return _compiled(kind, secrets).decode(plain)


@cache
def _compiled(kind: Any, secrets: bool) -> _Codec:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind is Secret:
        return _SECRET if secrets else _NO_SECRET
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, secrets)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(arguments, secrets)
    if origin is tuple and arguments[1:] != (...,):
        return _fixed_tuple([_compiled(one, secrets) for one in arguments])
    if origin in (tuple, frozenset):
        return _sequence(origin, _compiled(arguments[0], secrets))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*arguments, secrets=secrets)
    raise TypeError(f"values of the type {kind} cannot be encoded")


def _dataclass(kind: type, secrets: bool) -> _Codec:
    hints = get_type_hints(kind)
    own = [(one.name, _compiled(hints[one.name], secrets), _default(one)) for one in fields(kind)]
    required = [name for name, _, default in own if default is MISSING]

    def encode(value: Any) -> dict[str, Any]:
        plain = {}
        for name, codec, default in own:
            item = getattr(value, name)
            if default is MISSING or item != default:
                plain[name] = codec.encode(item)
        return plain

    def decode(plain: Any) -> Any:
        if not isinstance(plain, dict):
            _refuse("an object", plain)
        found = {}
        for name, codec, _ in own:
            if name in plain:
                try:
                    found[name] = codec.decode(plain[name])
                except DecodeError as error:
                    raise error.inside(name) from None
        for name in required:
            if name not in found:
                raise DecodeError(f"{name} is missing")
        return kind(**found)

    return _Codec(encode, decode)


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _union(arguments: tuple[Any, ...], secrets: bool) -> _Codec:
    """At most one member that is no dataclass may stand beside None; dataclasses are told apart by their tag."""
    members = [one for one in arguments if one is not types.NoneType]
    if len(members) == 1:
        return _optional(_compiled(members[0], secrets))
    codecs = {one.__name__: _compiled(one, secrets) for one in members}

    def encode(value: Any) -> Any:
        if value is None:
            return None
        tag = type(value).__name__
        return {TAG: tag, **codecs[tag].encode(value)}

    def decode(plain: Any) -> Any:
        if plain is None and len(members) < len(arguments):
            return None
        tag = plain.get(TAG) if isinstance(plain, dict) else None
        codec = codecs.get(tag) if isinstance(tag, str) else None
        if codec is None:
            raise DecodeError(f"{TAG} has to be one of {', '.join(codecs)}")
        return codec.decode(plain)

    return _Codec(encode, decode)


def _optional(codec: _Codec) -> _Codec:
    return _Codec(
        lambda value: None if value is None else codec.encode(value),
        lambda plain: None if plain is None else codec.decode(plain),
    )


def _sequence(kind: Callable[[Iterable[Any]], Any], codec: _Codec) -> _Codec:
    ordered: Callable[[Iterable[Any]], Iterable[Any]] = sorted if kind is frozenset else iter

    def decode(plain: Any) -> Any:
        if not isinstance(plain, list):
            _refuse("a list", plain)
        return kind(_each(codec, plain))

    return _Codec(lambda value: [codec.encode(item) for item in ordered(value)], decode)


def _fixed_tuple(codecs: list[_Codec]) -> _Codec:
    def decode(plain: Any) -> Any:
        if not isinstance(plain, list) or len(plain) != len(codecs):
            _refuse(f"a list of {len(codecs)}", plain)
        return tuple(
            item for codec, one in zip(codecs, plain, strict=True) for item in _each(codec, [one])
        )

    return _Codec(
        lambda value: [c.encode(one) for c, one in zip(codecs, value, strict=True)], decode
    )


def _each(codec: _Codec, plain: list[Any]) -> list[Any]:
    items = []
    for place, one in enumerate(plain):
        try:
            items.append(codec.decode(one))
        except DecodeError as error:
            raise error.inside(f"[{place}]") from None
    return items


def _mapping(key_kind: Any, value_kind: Any, *, secrets: bool) -> _Codec:
    key, value = _compiled(key_kind, secrets), _compiled(value_kind, secrets)
    has_text_keys = isinstance(key_kind, type) and issubclass(key_kind, str)

    def decode_pairs(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        found = {}
        for name, item in pairs:
            try:
                found[key.decode(name)] = value.decode(item)
            except DecodeError as error:
                raise error.inside(str(name)[:40]) from None
        return found

    def decode(plain: Any) -> dict[Any, Any]:
        if has_text_keys:
            if not isinstance(plain, dict):
                _refuse("an object", plain)
            return decode_pairs(plain.items())
        if not isinstance(plain, list) or not all(
            isinstance(p, list) and len(p) == 2 for p in plain
        ):
            _refuse("a list of pairs", plain)
        return decode_pairs((name, item) for name, item in plain)

    def encode(mapping: Mapping[Any, Any]) -> Any:
        pairs = ((key.encode(name), value.encode(item)) for name, item in mapping.items())
        return dict(pairs) if has_text_keys else [list(pair) for pair in pairs]

    return _Codec(encode, decode)


def _enum(kind: type[Enum]) -> _Codec:
    def decode(plain: Any) -> Enum:
        try:
            return kind(plain)
        except ValueError:
            raise DecodeError(
                f"has to be one of {', '.join(str(one.value) for one in kind)}"
            ) from None

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
    return (
        plain
        if isinstance(plain, int) and not isinstance(plain, bool)
        else _refuse("a whole number", plain)
    )


def _float(plain: Any) -> float:
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        _refuse("a number", plain)
    try:
        number = float(plain)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DecodeError("is no finite number")
    return number


def _duration(plain: Any) -> timedelta:
    try:
        return timedelta(microseconds=_int(plain))
    except OverflowError:
        raise DecodeError("is too long a time") from None


def _instant(plain: Any) -> datetime:
    try:
        return _EPOCH + _duration(plain)
    except OverflowError:
        raise DecodeError("is no instant of the calendar") from None


def _decimal(plain: Any) -> Decimal:
    try:
        number = Decimal(_text(plain))
    except InvalidOperation:
        raise DecodeError("is no decimal number") from None
    return number if number.is_finite() else _refuse("a finite number", plain)


def _refuse(wanted: str, plain: Any) -> NoReturn:
    raise DecodeError(f"has to be {wanted}, not {type(plain).__name__}")


def _refuse_secret(_: Any) -> NoReturn:
    raise TypeError("a secret stands in no document")


def _same(value: Any) -> Any:
    return value


_NO_SECRET: Final = _Codec(_refuse_secret, _refuse_secret)
_SECRET: Final = _Codec(
    lambda value: cast("Secret", value).reveal(), lambda plain: Secret(_text(plain))
)
_SIMPLE: Final[Mapping[Any, _Codec]] = {
    str: _Codec(_same, _text),
    bool: _Codec(_same, _bool),
    int: _Codec(_same, _int),
    float: _Codec(_same, _float),
    datetime: _Codec(lambda value: (value - _EPOCH) // _TICK, _instant),
    timedelta: _Codec(lambda value: value // _TICK, _duration),
    Decimal: _Codec(str, _decimal),
    Any: _Codec(_same, _same),
}
