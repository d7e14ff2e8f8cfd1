"""Who is starting a VM just now: a table in a file, of which a line counts as long as its writer lives.

A line is locked by the process that wrote it (fcntl(2), open file description locks), so the kernel strikes it out
when that ends, however it ends. What is done between a look at the table and a new line is done by one process at a
time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_LINE_BYTES = 64
_FLOCK = "hhqqi0q"  # struct flock of fcntl(2), on 64-bit Linux: type, whence, start, length, pid


class Starts:
    """The table in the file `path`, which is made when it is missing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else looks at the table, or writes to it, meanwhile."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def others(self) -> dict[str, int]:
        """What is being started by others: versions, and the number that their starter noted."""
        found = {}
        for line in range(self._lines()):
            if self._is_held(line):
                ulid, _, number = os.pread(self._descriptor, _LINE_BYTES, line * _LINE_BYTES).decode().partition(" ")
                found[ulid] = int(number)
        return found

    def note(self, ulid: str, number: int) -> None:
        """Write a line, which stands until `close` or the end of this process."""
        line = next(line for line in range(self._lines() + 1) if not self._is_held(line))
        os.pwrite(self._descriptor, f"{ulid} {number}".ljust(_LINE_BYTES).encode(), line * _LINE_BYTES)
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, self._lock(line))

    def close(self) -> None:
        os.close(self._descriptor)

    def _lines(self) -> int:
        return os.fstat(self._descriptor).st_size // _LINE_BYTES

    def _is_held(self, line: int) -> bool:
        """Whether another has locked the line: a lock of one's own is not seen."""
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, self._lock(line))
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)

    @staticmethod
    def _lock(line: int) -> bytes:
        return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, line * _LINE_BYTES, _LINE_BYTES, 0)
