"""Records: JSON read into types, and written from them. What is in a file is what the type says, or an error names
the file and the field.

A record is a NamedTuple or a dataclass. Its fields are str, int, float, bool, None, Literal, list, tuple, dict with
str keys, other records, unions of these, `object` for any JSON, and `Annotated[int, range(256)]` for numbers within
bounds. A field with a default may be missing. Nothing is converted: "1" is not 1, and true is not 1 either.

pydantic would do the same, at a cost that `infernoctl list` must not pay (docs/dependencies.md); even dataclasses is
more than it has to spare. So records on its path are NamedTuples, and this module imports neither.
"""

import functools
import json
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.base.named_tuple import NamedTuple

T = TypeVar("T")
_NAMES: dict[type, str] = {
    str: "a string", int: "an integer", float: "a number", bool: "true or false", type(None): "null",
    list: "a list", dict: "an object",
}  # fmt: skip


class BadRecordError(InfernoError):
    """What was read is not the record it should be. The text names the place and the field, and shows no value: it
    may be a secret."""


class NewerRecordError(BadRecordError, UsageError):
    """The record was written by a newer Inferno, in a format that this one cannot read."""

    status = UsageError.status


class _WrongError(Exception):
    """What is wrong with a value, and which: the fields on the way to it, the innermost first."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.way: list[str] = []


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_JSON = json.JSONDecoder(parse_constant=_refuse)  # NaN and Infinity are Python's own
# From JSON to the value of a field; the flag says whether fields that the record does not know are left out.
_Reader = Callable[[object, bool], Any]


class _Head(NamedTuple):
    """What records of any format say. Those of the first release had no number."""

    format: int = 1


def read(kind: type[T], path: Path, *, newer: bool = False, newest: int | None = None) -> T:
    """The record in a file. `newer`: another release may have written it, so fields that are not known are left out.

    `newest` is the highest format that can be read, of records whose first field, `format`, is a number that grows.
    Raises FileNotFoundError when there is none, OSError, BadRecordError, or NewerRecordError.
    """
    data = path.read_bytes()
    if newest is not None:
        format_of(data, str(path), newest)
    return parse(kind, data, str(path), newer=newer)


def format_of(text: bytes, place: str, newest: int) -> int:
    """The format of the record in a text, 1 where it has no number. Raises BadRecordError, or NewerRecordError when
    it is above `newest`."""
    found = parse(_Head, text, place, newer=True).format
    if found > newest:
        said = f"{place} was written by a newer Inferno (format {found}, this one reads {newest})"
        raise NewerRecordError(said, "update Inferno")
    return found


def parse(kind: type[T], text: bytes | str, place: str, *, newer: bool = False) -> T:
    """The record in a text; `place` is what an error calls it. Raises BadRecordError."""
    try:
        value = _JSON.decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError):
        raise BadRecordError(f"{place} is not JSON") from None
    return of(kind, value, place, newer=newer)


def of(kind: type[T], value: object, place: str, *, newer: bool = False) -> T:
    """The record that a JSON value holds. Raises BadRecordError."""
    try:
        found: T = _reader(typing.cast(Hashable, kind))(value, newer)
    except _WrongError as wrong:
        field = ".".join(reversed(wrong.way))
        raise BadRecordError(f"{place}: {field}{' ' if field else 'it '}{wrong}") from None
    return found


def plain(record: object) -> Any:
    """The record as JSON's own types, in the order of its fields."""
    if isinstance(record, Mapping):
        return {key: plain(value) for key, value in record.items()}
    if isinstance(record, list | tuple) and not hasattr(record, "_fields"):
        return [plain(value) for value in record]
    names = _field_names(type(record))
    return record if names is None else {name: plain(getattr(record, name)) for name in names}


def write(path: Path, record: object, mode: int = 0o600) -> bool:
    """Put the record into a file, atomically; return whether the file changed. Raises OSError."""
    return files.write(path, text(record), mode)


def text(record: object) -> str:
    """The text of a record's file: indented JSON; the same record, the same bytes."""
    return json.dumps(plain(record), indent=2, ensure_ascii=False) + "\n"


def _field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a record's type, in their order; None for what is not a record."""
    names: tuple[str, ...] | None = getattr(kind, "_fields", None)
    if names is None and (fields := getattr(kind, "__dataclass_fields__", None)):
        return tuple(fields)
    return names


@functools.cache
def _reader(kind: Any) -> _Reader:
    """Made once per type: what reads its values. Raises TypeError for a type that JSON does not have."""
    if kind is object or kind is Any:
        return lambda value, _: value
    if kind is None:
        kind = type(None)
    if kind in (str, int, float, bool, type(None)):
        return _scalar(kind)
    if isinstance(kind, type) and _field_names(kind) is not None:
        return _record(kind)
    make = _COMPOSED.get(typing.get_origin(kind))
    if make is None:
        raise TypeError(f"a record cannot hold {kind}")
    return make(typing.get_args(kind))


def _scalar(kind: type) -> _Reader:
    kinds = (int, float) if kind is float else (kind,)

    def one(value: object, _: bool) -> Any:
        if type(value) not in kinds:
            raise _WrongError(f"is {_called(value)}, not {_NAMES[kind]}")
        return value

    return one


def _record(kind: type) -> _Reader:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [(name, _reader(hints[name])) for name in _field_names(kind) or ()]
    needed = frozenset(name for name, _ in fields) - _with_default(kind)

    def one(value: object, newer: bool) -> Any:
        if not isinstance(value, dict):
            raise _WrongError(f"is {_called(value)}, not {_NAMES[dict]}")
        if missing := needed - value.keys():
            raise _at(min(missing), _WrongError("is missing"))
        if not newer and (unknown := value.keys() - hints.keys()):
            raise _at(ascii(min(unknown))[1:-1], _WrongError("is not a field that this Inferno knows"))
        return kind(**{name: _inside(name, reads, value[name], newer) for name, reads in fields if name in value})

    return one


def _with_default(kind: type) -> frozenset[str]:
    if hasattr(kind, "_field_defaults"):
        return frozenset(kind._field_defaults)
    import dataclasses  # loaded already: the record is one

    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return frozenset(f.name for f in fields if f.default is not missing or f.default_factory is not missing)


def _union(kinds: tuple[Any, ...]) -> _Reader:
    optional = type(None) in kinds
    others = [_reader(kind) for kind in kinds if kind is not type(None)]

    def one(value: object, newer: bool) -> Any:
        if value is None and optional:
            return None
        for reads in others[:-1]:
            try:
                return reads(value, newer)
            except _WrongError:
                continue
        return others[-1](value, newer)

    return one


def _literal(values: tuple[Any, ...]) -> _Reader:
    def one(value: object, _: bool) -> Any:
        if not any(type(value) is type(each) and value == each for each in values):
            raise _WrongError(f"is not one of {', '.join(map(str, values))}")
        return value

    return one


def _annotated(parts: tuple[Any, ...]) -> _Reader:
    reads, bounds = _reader(parts[0]), parts[1]

    def one(value: object, newer: bool) -> Any:
        found = reads(value, newer)
        if found is not None and found not in bounds:
            raise _WrongError(f"is out of range: {bounds[0]} to {bounds[-1]}")
        return found

    return one


def _list(parts: tuple[Any, ...]) -> _Reader:
    reads = _reader(parts[0])

    def one(value: object, newer: bool) -> Any:
        return [_inside(f"[{at}]", reads, each, newer) for at, each in enumerate(_listed(value))]

    return one


def _tuple(parts: tuple[Any, ...]) -> _Reader:
    if parts[-1] is Ellipsis:
        every = _list(parts[:1])
        return lambda value, newer: tuple(every(value, newer))
    readers = [_reader(part) for part in parts]

    def one(value: object, newer: bool) -> Any:
        found = _listed(value)
        if len(found) != len(readers):
            raise _WrongError(f"has {len(found)} entries, not {len(readers)}")
        pairs = zip(readers, found, strict=True)
        return tuple(_inside(f"[{at}]", reads, each, newer) for at, (reads, each) in enumerate(pairs))

    return one


def _dict(parts: tuple[Any, ...]) -> _Reader:
    reads = _reader(parts[1])

    def one(value: object, newer: bool) -> Any:
        if not isinstance(value, dict):
            raise _WrongError(f"is {_called(value)}, not {_NAMES[dict]}")
        return {key: _inside(ascii(key)[1:-1], reads, each, newer) for key, each in value.items()}

    return one


_COMPOSED: dict[Any, Callable[[tuple[Any, ...]], _Reader]] = {
    typing.Union: _union,
    types.UnionType: _union,
    typing.Literal: _literal,
    typing.Annotated: _annotated,
    list: _list,
    tuple: _tuple,
    dict: _dict,
}


def _inside(name: str, reads: _Reader, value: object, newer: bool) -> Any:
    try:
        return reads(value, newer)
    except _WrongError as wrong:
        raise _at(name, wrong) from None


def _at(name: str, wrong: _WrongError) -> _WrongError:
    wrong.way.append(name)
    return wrong


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _WrongError(f"is {_called(value)}, not {_NAMES[list]}")
    return value


def _called(value: object) -> str:
    return _NAMES[type(value)]
