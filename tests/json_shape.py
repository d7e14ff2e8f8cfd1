"""The shape of a JSON value, in a notation that people read: what a type writes, what a value has, a table for docs.

"string" "integer" "number" "boolean" "null" "anything"; "string?" may also be null
["string"]                 a list of them
{"name": …, "more?": …}    an object with these keys and no other; a key with ? may be missing
{"*": …}                   an object with any keys
{"|": [… , …]}             one of these
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", object: "anything"}


def of_type(kind: Any) -> Any:
    """The shape of what inferno.base.records writes of a type."""
    if kind in _NAMES or kind is None:
        return _NAMES[kind] if kind is not None else "null"
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return of_type(parts[0])
    if origin is typing.Literal:
        [name] = {_NAMES[type(value)] for value in parts}
        return name
    if origin in (list, tuple):
        return [of_type(parts[0])]
    if origin is dict:
        return {"*": of_type(parts[1])}
    if origin in (typing.Union, types.UnionType):
        return _one_of([of_type(part) for part in parts])
    assert isinstance(kind, type) and (hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__")), kind
    hints = typing.get_type_hints(kind, include_extras=True)
    names = getattr(kind, "_fields", None) or tuple(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    return {name: of_type(hints[name]) for name in names}


def _one_of(shapes: list[Any]) -> Any:
    rest = [shape for shape in shapes if shape != "null"]
    if len(rest) == 1 and isinstance(rest[0], str) and "null" in shapes:
        return f"{rest[0]}?"
    return {"|": [*rest, *(["null"] if "null" in shapes else [])]}


def wrong(value: Any, shape: Any, way: str = "it") -> list[str]:
    """Where a value is not of the shape, a line each."""
    if isinstance(shape, str):
        return [] if _is(value, shape) else [f"{way} is {value!r}, not {shape}"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{way} is {value!r}, not a list"]
        return [line for at, each in enumerate(value) for line in wrong(each, shape[0], f"{way}[{at}]")]
    if "|" in shape:
        return [] if any(not wrong(value, one) for one in shape["|"]) else [f"{way} is {value!r}, not one of {shape}"]
    if not isinstance(value, dict):
        return [f"{way} is {value!r}, not an object"]
    if "*" in shape:
        return [line for key, each in value.items() for line in wrong(each, shape["*"], f"{way}.{key}")]
    known = {key.removesuffix("?"): inner for key, inner in shape.items()}
    lines = [f"{way}.{key} is missing" for key in shape if not key.endswith("?") and key not in value]
    lines += [f"{way}.{key} is not in the shape" for key in value if key not in known]
    return lines + [
        line for key, each in value.items() if key in known for line in wrong(each, known[key], f"{way}.{key}")
    ]


def _is(value: Any, name: str) -> bool:
    if name.endswith("?"):
        return value is None or _is(value, name[:-1])
    if name == "number":
        return type(value) in (int, float)
    return name == "anything" or _NAMES.get(type(value)) == name


def rows(shape: Any, way: str = "") -> Iterator[tuple[str, str]]:
    """Key and type, a row for each key at any depth, as docs have them; `.[]` is each of a list, `.*` each by name."""
    if isinstance(shape, str):
        yield way or ".", shape.removesuffix("?") + (" or null" if shape.endswith("?") else "")
    elif isinstance(shape, list):
        yield from rows(shape[0], f"{way}[]")
    elif "|" in shape:
        for one in shape["|"]:
            yield from ((key, f"{kind}, or" if one != shape["|"][-1] else kind) for key, kind in rows(one, way))
    else:
        for key, inner in shape.items():
            name = key.removesuffix("?")
            for inside, kind in rows(inner, f"{way}.{name}"):
                yield inside, f"{kind}; may be missing" if key.endswith("?") else kind
