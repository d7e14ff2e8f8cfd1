"""What kiln sends anew, since nobody acknowledged it: lines that are in the VM's log already are not written twice.

kiln's lines carry its microseconds, so a line that is in the log is known by its bytes. Lines of a connection are
compared from its first one on, until one differs; a VM can only harm its own log by making them equal.
"""

from __future__ import annotations

import collections
import os
from pathlib import Path

from inferno.logs import rotation
from inferno.logs.collector import notices
from inferno.wire.shared import MAX_LOG_LINE_BYTES, MAX_UNACKNOWLEDGED_BYTES

# kiln leaves so much and one line unacknowledged; the VM's name makes each of them longer.
_TAIL_BYTES = 2 * (MAX_UNACKNOWLEDGED_BYTES + MAX_LOG_LINE_BYTES)


class Again:
    """For one connection. The log is looked into once, at its first lines."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._first = True
        self._written: collections.deque[bytes] = collections.deque()

    def without(self, lines: bytes) -> bytes:
        """The lines, whole ones as they are to be written, without those that are in the log."""
        if not lines:
            return lines
        if self._first:
            self._first = False
            self._find(lines[: lines.index(b"\n")])
        while self._written and lines:
            line, _, rest = lines.partition(b"\n")
            if line != self._written.popleft():
                self._written.clear()
                break
            lines = rest
        return lines

    def _find(self, first: bytes) -> None:
        """Expect the log's lines from the first on that equals this one."""
        lines = collections.deque(line for line in self._tail().split(b"\n")[:-1] if not notices.is_own(line))
        while lines and lines[0] != first:
            lines.popleft()
        self._written = lines

    def _tail(self) -> bytes:
        """The log's end, also from before a rotation; but what is compressed already would cost all others' time."""
        rotated = [part.path for part in rotation.rotated(self._log)[-1:] if not part.compressed]
        return b"".join(_end(path) for path in (*rotated, self._log))[-_TAIL_BYTES:]


def _end(path: Path) -> bytes:
    """Empty when it is gone."""
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _TAIL_BYTES, 0))
            return file.read(_TAIL_BYTES)
    except FileNotFoundError:
        return b""
