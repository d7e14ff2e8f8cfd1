"""One record of a log: what the collector wrote, and how it is shown to people."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from inferno.base.text import visible
from inferno.wire.shared import LOG_LEVELS, LOG_SOURCES

SOURCES = (*LOG_SOURCES, "collector")
LEVELS = LOG_LEVELS
# What is left of a line whose writer was killed in it, or of a file edited by hand.
_UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Record:
    """`data` is exactly what was said; `partial`: the line goes on in the next record; `dropped`: lines missing here.

    `raw` is the line of the file. Of what the collector says of itself, `vm_name` and `vm_id` are empty.
    """

    timestamp: str
    level: str
    source: str
    vm_name: str
    vm_id: str
    data: bytes
    partial: bool
    dropped: int | None
    raw: bytes

    @property
    def is_notice(self) -> bool:
        """Whether this tells of the log itself: of lines that are missing, refused or torn, or of who writes it."""
        return self.dropped is not None or self.source in ("collector", _UNREADABLE)

    def output(self) -> bytes:
        """What the process wrote, byte for byte."""
        return self.data if self.partial else self.data + b"\n"

    def text(self) -> str:
        """What was said, on one line and harmless on any terminal."""
        text = visible(self.data.decode(errors="backslashreplace"))
        return f"{text}…" if self.partial else text

    def json(self) -> str:
        """The record as one line of JSON."""
        if self.source != _UNREADABLE:
            return self.raw.decode(errors="replace")
        return json.dumps({"source": self.source, "message": self.raw.decode(errors="backslashreplace")})


def parse(line: bytes) -> Record:
    """A line of a log file, without its newline. What is not a record becomes one that holds the line as data."""
    try:
        found = json.loads(line)
        message = found.get("message")
        packed = found["message_b64"] if message is None else ""
        data = base64.b64decode(packed, validate=True) if packed else message.encode(errors="replace")

        def word(key: str) -> str:
            return str(found.get(key, ""))

        words = word("timestamp"), word("level"), word("source"), word("vm_name"), word("vm_id")
        return Record(*words, data, found.get("partial") is True, found.get("dropped"), line)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError, binascii.Error):
        return Record("", "warn", _UNREADABLE, "", "", line, False, None, line)
