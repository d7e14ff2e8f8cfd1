"""A log file that grows to a size and is then rotated away; of those, the newest few are kept.

Only whole lines are ever in it: a write that the disk cut short is taken back to its last newline. What found no room
is counted, and said where it is missing as soon as there is room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inferno.logs import rotation
from inferno.logs.collector import notices
from inferno.wire.shared import MAX_LOG_LINE_BYTES

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640
# What is longer is not a line of a log.
_LONGEST_LINE = 2 * MAX_LOG_LINE_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of one file, and how many files of one log there are, the growing one included (2 or more)."""

    size: int
    files: int


class LogFile:
    """The log of one VM, or of all. `on_rotated` is told of each file that was rotated away."""

    def __init__(self, path: Path, limits: Limits, on_rotated: Callable[[Path], None]) -> None:
        self.path = path
        self._limits = limits
        self._on_rotated = on_rotated
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._size = 0
        self._lost = 0
        self._reason = ""

    def write(self, lines: bytes) -> None:
        """Append whole lines. Never raises for what a disk may do."""
        try:
            while lines:
                self._ensure_open()
                if self._lost:
                    self._say_what_was_lost()
                now = self._fitting(lines)
                if now:
                    lines = lines[self._append(lines[:now]) :]
                else:
                    self._rotate()
        except OSError as error:
            self._lost += lines.count(b"\n")
            self._reason = error.strerror or str(error)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _ensure_open(self) -> None:
        """Open the file that has the name now: it may have been deleted or moved by hand."""
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(self.path, follow_symlinks=False)
                if (found.st_dev, found.st_ino) == self._identity:
                    self._size = found.st_size  # truncated by hand, perhaps
                    return
            self.close()
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, _FLAGS, _MODE)
        info = os.fstat(self._descriptor)
        self._identity, self._size = (info.st_dev, info.st_ino), info.st_size
        self._drop_torn_end()

    def _drop_torn_end(self) -> None:
        """Whoever wrote the file was killed in the middle of a line, perhaps."""
        assert self._descriptor is not None
        begin = max(self._size - _LONGEST_LINE, 0)
        torn = len(os.pread(self._descriptor, _LONGEST_LINE, begin).rpartition(b"\n")[2])
        if 0 < torn < _LONGEST_LINE:
            os.ftruncate(self._descriptor, self._size - torn)
            self._size -= torn

    def _fitting(self, lines: bytes) -> int:
        """How many bytes of them, whole lines, belong into this file. A line may be larger than a file should be."""
        room = self._limits.size - self._size
        if len(lines) <= room:
            return len(lines)
        fitting = lines.rfind(b"\n", 0, max(room, 0)) + 1
        return fitting if fitting or self._size else lines.index(b"\n") + 1

    def _append(self, lines: bytes) -> int:
        """Write; return how much, which is whole lines, one at the least. Raises OSError when not even that fits."""
        assert self._descriptor is not None
        written = os.write(self._descriptor, lines)
        if written < len(lines):
            cut, written = written, lines.rfind(b"\n", 0, written) + 1
            if cut > written:
                os.ftruncate(self._descriptor, self._size + written)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written
        return written

    def _say_what_was_lost(self) -> None:
        lost, self._lost = self._lost, 0
        try:
            self._append(notices.gap(lost, self._reason))
        except OSError:
            self._lost = lost
            raise

    def _rotate(self) -> None:
        before = rotation.rotated(self.path)
        number = before[-1].number + 1 if before else 0
        gone = self.path.with_name(f"{self.path.name}.{number}")
        os.rename(self.path, gone)
        self.close()
        for part in before[: max(len(before) + 2 - self._limits.files, 0)]:
            for path in (part.path, part.path.with_name(f"{self.path.name}.{part.number}.gz")):
                path.unlink(missing_ok=True)
        self._on_rotated(gone)
        self._ensure_open()
