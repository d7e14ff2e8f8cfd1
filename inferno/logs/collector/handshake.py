"""How a connection begins: kiln's line with the version that it speaks, and our answer to it.

The golden file is tests/contract/log_protocol.json. A kiln from before there were versions begins with its lines, and
is answered nothing: what it sends is version 1.
"""

from __future__ import annotations

import struct

PROTOCOL = "inferno-log/1"
LINE = f'{{"protocol": "{PROTOCOL}"}}\n'.encode()
# A number of 4 bytes, little-endian, as acknowledgements are: the version that is spoken from now on, or none.
_ANSWER = struct.Struct("<I")
ACCEPTED, REFUSED = _ANSWER.pack(1), _ANSWER.pack(0)
_BEGINNING = b'{"protocol"'
_MAX_LINE_BYTES = 128


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
        line, end, rest = self._taken.partition(b"\n")
        if not end and len(line) <= _MAX_LINE_BYTES:
            return b""
        self.over = True
        if line + end == LINE:
            self.answer = ACCEPTED
            return rest
        self.answer, self.stranger = REFUSED, line[:_MAX_LINE_BYTES]
        return b""
