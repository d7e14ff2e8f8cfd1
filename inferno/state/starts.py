"""Who is starting a VM just now: a table in a file, of which a line counts as long as its writer lives.

All INFERNO_ROOTs of this host share it, as they share its memory and its network.

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

from inferno.state import paths

_LINE_BYTES = 64
_FLOCK = "hhqqi0q"  # struct flock of fcntl(2), on 64-bit Linux: type, whence, start, length, pid


def root_id(root: Path) -> str:
    """An INFERNO_ROOT by its folder, whichever path leads there. With a ULID and MiB it fits into a line."""
    info = os.stat(root)
    return f"{info.st_dev:x}.{info.st_ino:x}"


class Starts:
    """The table in the file `path`, else this host's; it is made when it is missing."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or paths.HOST.starts
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        return {ulid: int(number) for ulid, number, _ in self._held()}

    def roots(self) -> set[str]:
        """The INFERNO_ROOTs of others that have a line, as `root_id` names them."""
        return {root for _, _, root in self._held()}

    def note(self, ulid: str, number: int, root: Path) -> None:
        """Write a line, which stands until `close` or the end of this process. `root` is the INFERNO_ROOT it is for."""
        line = next(line for line in range(self._lines() + 1) if not self._is_held(line))
        os.pwrite(self._descriptor, f"{ulid} {number} {root_id(root)}".ljust(_LINE_BYTES).encode(), line * _LINE_BYTES)
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, self._lock(line))

    def close(self) -> None:
        os.close(self._descriptor)

    def _held(self) -> Iterator[list[str]]:
        """The words of each line that another holds."""
        for line in range(self._lines()):
            if self._is_held(line):
                yield os.pread(self._descriptor, _LINE_BYTES, line * _LINE_BYTES).decode().split()

    def _lines(self) -> int:
        return os.fstat(self._descriptor).st_size // _LINE_BYTES

    def _is_held(self, line: int) -> bool:
        """Whether another has locked the line: a lock of one's own is not seen."""
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, self._lock(line))
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)

    @staticmethod
    def _lock(line: int) -> bytes:
        return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, line * _LINE_BYTES, _LINE_BYTES, 0)
