"""The frames of a stream, as the host writes and reads them (docs/guest-api.md, "Streams").

A head of 8 bytes (kind, three zeroes, length in big-endian), then at most 64 KiB. What is not a frame of a guest's is
refused by its head, before anything of it is kept.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from inferno.base.errors import InfernoError
from inferno.wire.shared import MAX_FRAME_PAYLOAD_BYTES, MAX_SIGNAL

STDIN, STDIN_END, RESIZE, SIGNAL, DETACH = 1, 2, 3, 4, 5
STDOUT, STDERR, WINDOW, EXIT = 17, 18, 19, 20
_HEAD = struct.Struct(">II")  # the kind is the first of four bytes, the others are zero
_U32 = struct.Struct(">I")
# The least and the most that may follow each head.
_LENGTHS = {STDOUT: (0, MAX_FRAME_PAYLOAD_BYTES), STDERR: (0, MAX_FRAME_PAYLOAD_BYTES), WINDOW: (4, 4), EXIT: (0, 256)}
_BYTE, _SIGNAL_NUMBER = range(256), range(1, MAX_SIGNAL + 1)


@dataclass(frozen=True, slots=True)
class Exit:
    """How the process ended: an exit code, or else the signal that killed it."""

    exit_code: int | None
    signal: int | None

    @property
    def status(self) -> int:
        """As a shell has it: 128+n for a death by signal n."""
        return self.exit_code if self.exit_code is not None else 128 + (self.signal or 0)


def encode(kind: int, payload: bytes = b"") -> bytes:
    """A frame; the payload has at most MAX_FRAME_PAYLOAD_BYTES."""
    return _HEAD.pack(kind << 24, len(payload)) + payload


def resize(rows: int, cols: int) -> bytes:
    return encode(RESIZE, struct.pack(">HH", rows, cols))


def signal(number: int) -> bytes:
    return encode(SIGNAL, bytes([number]))


class Reader:
    """Takes bytes as they come, hands out whole frames. Holds one frame that is not whole, at most."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Kind and payload of each frame that is whole now. Raises InfernoError for anything else."""
        self._held += data
        while len(self._held) >= _HEAD.size:
            word, length = _HEAD.unpack_from(self._held)
            kind, zeroes = divmod(word, 1 << 24)
            least, most = _LENGTHS.get(kind, (1, 0))
            if zeroes or not least <= length <= most:
                raise _garbage()
            end = _HEAD.size + length
            if len(self._held) < end:
                return
            payload = bytes(self._held[_HEAD.size : end])
            del self._held[:end]
            yield kind, payload


def window(payload: bytes) -> int:
    """How many more bytes of input may be sent."""
    return int(_U32.unpack(payload)[0])


def exit_of(payload: bytes) -> Exit:
    """Raises InfernoError for anything but one code or one signal."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise _garbage() from None
    if not isinstance(found, dict) or set(found) != {"exit_code", "signal"}:
        raise _garbage()
    code, number = found["exit_code"], found["signal"]
    exited = type(code) is int and code in _BYTE and number is None
    killed = type(number) is int and number in _SIGNAL_NUMBER and code is None
    if not (exited or killed):
        raise _garbage()
    return Exit(code, number)


def _garbage() -> InfernoError:
    return InfernoError("the guest sent something that is not a frame of a stream")
