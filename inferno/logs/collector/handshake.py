"""How a connection begins: kiln's line with the version that it speaks, and our answer to it.

The golden file is tests/contract/log_protocol.json. Of a VM that the release before started, kiln speaks the version
before: its lines name no run. A kiln from before there were versions begins with its lines, and is answered nothing.
"""

from __future__ import annotations

import struct

VERSION = 2
PROTOCOL = f"inferno-log/{VERSION}"
# A number of 4 bytes, little-endian, as acknowledgements are: the version that is spoken from now on, or none.
_ANSWER = struct.Struct("<I")
REFUSED = _ANSWER.pack(0)
_BEGINNING = b'{"protocol"'
_MAX_LINE_BYTES = 128


def line(version: int) -> bytes:
    """What a kiln that speaks this version begins with."""
    return f'{{"protocol": "inferno-log/{version}"}}\n'.encode()


_ANSWERS = {line(version): _ANSWER.pack(version) for version in (VERSION - 1, VERSION)}


class Hello:
    """For one connection, until `over`: then `answer` is what to send, `stranger` how another version's line began."""

    def __init__(self) -> None:
        self.over = False
        self.answer = b""
        self.stranger: bytes | None = None
        self._taken = b""

    def feed(self, data: bytes) -> bytes:
        """Take what was read; return what comes after the line."""
        self._taken += data
        if not self._taken.startswith(_BEGINNING[: len(self._taken)]):
            self.over = True
            return self._taken
        said, end, rest = self._taken.partition(b"\n")
        if not end and len(said) <= _MAX_LINE_BYTES:
            return b""
        self.over = True
        self.answer = _ANSWERS.get(said + end, REFUSED)
        if self.answer != REFUSED:
            return rest
        self.stranger = said[:_MAX_LINE_BYTES]
        return b""
