"""Records of a kiln of another release: those of this one, with further fields, or in another order or notation.

A VM goes on over an update of Inferno with the kiln that it was started with. Its fields are kept, whatever they are;
what a line must not do is speak for another VM or another source, and that is looked at in the fields themselves, not
in the bytes. The record is written anew, so that no reader sees other fields than the collector did.
"""

from __future__ import annotations

import json
import re

from inferno.wire.shared import LOG_LEVELS, LOG_SOURCES

# Lines that may be such records, as far as a glance tells: a flood of short ones costs nothing more than that.
POSSIBLE = re.compile(rb"^\{[^\n]{100,}\}\n", re.MULTILINE)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_PACKED = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MAX_DROPPED = 2**64


def read(line: bytes, name: str, vm_id: str) -> bytes | None:
    """The line as it is to be written, with the VM's name; None for what is not a record of this VM's."""
    try:
        fields = _JSON.decode(line.decode())
        if not (isinstance(fields, dict) and _is_of(fields, vm_id)):
            return None
        first = {key: fields.pop(key) for key in ("timestamp", "level", "source")}
        whole = {**first, "vm_name": name, "vm_id": vm_id, **fields}
        return json.dumps(whole, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except (ValueError, RecursionError):  # of encode too: half of a surrogate pair
        return None


def _is_of(fields: dict[str, object], vm_id: str) -> bool:
    """Whether these are the fields of a record of this VM, and what it may say."""
    at, packed = fields.get("timestamp"), fields.get("message_b64", "")
    return (
        isinstance(at, str)
        and _TIMESTAMP.fullmatch(at) is not None
        and fields.get("level") in LOG_LEVELS
        and fields.get("source") in LOG_SOURCES
        and fields.get("vm_id") == vm_id
        and "vm_name" not in fields
        and ("message" in fields) != ("message_b64" in fields)
        and isinstance(fields.get("message", ""), str)
        and isinstance(packed, str)
        and _PACKED.fullmatch(packed) is not None
        and isinstance(fields.get("partial", False), bool)
        and _is_count(fields.get("dropped", 1))
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < _MAX_DROPPED


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object, where no field is there twice: readers differ in which of the two they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _refuse(constant: str) -> object:
    raise ValueError(constant)  # NaN and Infinity are Python's own


_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
