"""Hands out the records of a log as they are written, across rotations: until a VM has ended, to a moment, or for ever.

Nothing is looked at on a timer: inotify says that the file grew or that another has its name, and a descriptor that
the caller gives says that the VM may have ended.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from inferno.base import inotify
from inferno.logs import collector_client, read, rotation
from inferno.logs.log_record import Record, parse
from inferno.logs.read import opened
from inferno.state.paths import Paths

_BLOCK_BYTES = 256 * 1024
_LONGEST_S = 86_400  # poll(2) counts milliseconds in an int


@dataclass(frozen=True, slots=True)
class End:
    """What says that a VM ended: poll(2) waits for `events` on `descriptor`, then `over` is asked.

    cgroup.events: select.POLLPRI, and `over` reads it by pread, which is what arms the next event. A pidfd:
    select.POLLIN.
    """

    descriptor: int
    events: int
    over: Callable[[], bool]


class Follower:
    """An iterator of records, and a context manager. It is made by `vm_logs.follow`."""

    def __init__(self, paths: Paths, log: Path, since: int, end: End | None, until: float | None = None) -> None:
        self._paths = paths
        self._log = log
        self._end = end
        self._until = until
        self._over = False
        self._last: int | None = None  # the position that `until` ended at, once it did
        self._lines: collections.deque[bytes] = collections.deque()
        self._file: BinaryIO | None = None
        self._number = self._offset = 0
        self._growing = False  # whether that file is the one that grows
        self._open = contextlib.ExitStack()
        self._held = contextlib.ExitStack()
        log.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._changes = inotify.opened()
        self._held.callback(os.close, self._changes)
        inotify.watch(self._changes, log.parent, inotify.CREATE | inotify.MOVED_TO)
        self._begin(*rotation.split(since))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Record:
        while not self._lines:
            if self._is_past_until():
                raise StopIteration
            if self._read():
                continue
            if self._over or self._last is not None:
                raise StopIteration
            if self._end is not None and self._end.over():
                collector_client.flush(self._paths)
                self._over = True
            else:
                self._wait()
        return parse(self._lines.popleft())

    def _is_past_until(self) -> bool:
        """Whether the moment has come, and all was handed out that was written by then: more may come without end."""
        if self._until is not None and self._last is None and time.time() >= self._until:
            collector_client.flush(self._paths)
            self._last = read.end(self._log)
        return self._last is not None and rotation.join(self._number, self._offset) >= self._last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()
        self._held.close()

    def pending(self) -> bool:
        """Whether a record is there without waiting."""
        return bool(self._lines) or (self._read() and bool(self._lines))

    def _read(self) -> bool:
        """Take in some of what is there; return whether anything changed."""
        if self._file is None:
            return self._begin(self._number, self._offset)
        if self._take():
            return True
        if self._growing and not self._replaced():
            return False
        if self._take():  # written between the two looks, before it was rotated away
            return True
        return self._begin(self._number + 1, 0)

    def _take(self) -> bool:
        assert self._file is not None
        data = os.pread(self._file.fileno(), _BLOCK_BYTES, self._offset)
        end = data.rfind(b"\n")
        if end < 0 and len(data) == _BLOCK_BYTES:
            end = len(data) - 1  # no line is that long; a piece of what somebody put there
        if end < 0:  # nothing, or a line that is being written, and that its writer may take back
            if os.fstat(self._file.fileno()).st_size < self._offset:  # truncated by hand
                self._offset = 0
            return False
        self._offset += end + 1
        self._lines.extend(data[:end].split(b"\n"))
        return True

    def _replaced(self) -> bool:
        """Whether another file has the log's name, or none, once it was deleted."""
        assert self._file is not None
        with contextlib.suppress(FileNotFoundError):
            return not os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._log))
        return False  # a new one is announced when it comes

    def _begin(self, number: int, offset: int) -> bool:
        """Go on with the first file from `number` on, or the one that grows; return whether there is one."""
        latest, file = rotation.latest(self._log)
        self._open.close()
        self._file = None
        for part in rotation.rotated(self._log):
            if number <= part.number < latest:
                with contextlib.suppress(FileNotFoundError):
                    self._file = self._open.enter_context(opened(part))
                    self._number, self._offset, self._growing = part.number, offset * (part.number == number), False
                    break
        if self._file is not None:
            if file is not None:
                file.close()
            return True
        self._number, self._offset, self._growing = latest, offset * (latest == number), True
        if file is None:
            return False
        self._file = self._open.enter_context(file)
        inotify.watch(self._changes, Path(f"/proc/self/fd/{file.fileno()}"), inotify.MODIFY)
        return True

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._changes, select.POLLIN)
        if self._end is not None:
            poll.register(self._end.descriptor, self._end.events)
        poll.poll(None if self._until is None else min(max(self._until - time.time(), 0), _LONGEST_S) * 1000 + 1)
        inotify.drain(self._changes)
