"""What the collector itself has to say in a log, as records of the same shape, from the source `collector`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

SOURCE = "collector"


def gap(lines: int, reason: str) -> bytes:
    """Lines are missing here that could not be written."""
    return _record(f"{lines} lines dropped: {reason}", dropped=lines)


def refused(name: str, vm_id: str, lines: int, sample: bytes) -> bytes:
    """Lines of a VM were not passed on. What is shown of one is data, and JSON keeps it so."""
    shown = sample.decode(errors="backslashreplace")
    text = f"{lines} lines refused, which were no log lines of this VM; one began: {shown}"
    return _record(text, dropped=lines, vm_name=name, vm_id=vm_id)


def _record(message: str, dropped: int, **vm: str) -> bytes:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = {"timestamp": at, "level": "warn", "source": SOURCE, **vm, "message": message, "dropped": dropped}
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
