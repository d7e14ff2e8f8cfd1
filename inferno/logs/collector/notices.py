"""What the collector itself has to say in a log, as records of the same shape, from the source `collector`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

SOURCE = "collector"
# How its own lines go on after the time, where a VM's name another source (inferno/logs/collector/lines.py).
_TIME_BYTES = len('{"timestamp": "2026-11-24T14:17:02.123456Z"')
_OWN = f', "level": "warn", "source": "{SOURCE}"'.encode()


def gap(lines: int, reason: str) -> bytes:
    """Lines are missing here that could not be written."""
    return _record(f"{lines} lines dropped: {reason}", dropped=lines)


def refused(name: str, vm_id: str, lines: int, sample: bytes) -> bytes:
    """Lines of a VM were not passed on. What is shown of one is data, and JSON keeps it so."""
    shown = sample.decode(errors="backslashreplace")
    text = f"{lines} lines refused, which were not log lines of this VM; one began: {shown}"
    return _record(text, dropped=lines, vm_name=name, vm_id=vm_id)


def too_many(name: str, vm_id: str, lines: int, per_s: int) -> bytes:
    """A VM logs faster than it may: lines are missing here."""
    text = f"{lines} lines dropped: more than INFERNO_LOG_MAX_RATE, {per_s} a second"
    return _record(text, dropped=lines, vm_name=name, vm_id=vm_id)


def stranger(name: str, vm_id: str, hello: bytes) -> bytes:
    """A VM's kiln speaks another version of the protocol than this collector. What it said is data."""
    shown = hello.decode(errors="backslashreplace")
    text = f"the kiln of this VM speaks another version: {shown}; infernoctl logs restart, or restart {name}, helps"
    return _record(text, vm_name=name, vm_id=vm_id)


def anew(why: str) -> bytes:
    """Another process took the collector's place."""
    return _record(f"the log collector {why}, and was started anew: what was not written is sent again")


def is_own(line: bytes) -> bool:
    """Whether the collector itself said this line of a log."""
    return line.startswith(_OWN, _TIME_BYTES)


def _record(message: str, dropped: int | None = None, **vm: str) -> bytes:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields: dict[str, str | int] = {"timestamp": at, "level": "warn", "source": SOURCE, **vm, "message": message}
    if dropped is not None:
        fields["dropped"] = dropped
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
