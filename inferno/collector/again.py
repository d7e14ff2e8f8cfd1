"""What kiln sends anew, since nobody acknowledged it: lines that are in the VM's log already are not written twice.

kiln's lines carry its microseconds, so a line that is in the log is known by its bytes. Lines of a connection are
compared from its first one on, until one differs; a VM can only harm its own log by making them equal.
"""

from __future__ import annotations

import collections
from pathlib import Path

from inferno.collector import word

# kiln leaves 64 KiB and one line unacknowledged (kiln/src/outbox.rs); the VM's name makes each of them longer.
_TAIL_BYTES = 384 * 1024


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
        from inferno.logs import read

        tail: collections.deque[bytes] = collections.deque()
        size = 0
        for line in read.backwards(self._log):
            size += len(line)
            if size > _TAIL_BYTES:
                break
            if not word.is_own(line):
                tail.appendleft(line)
        while tail and tail[0] != first:
            tail.popleft()
        self._written = tail
