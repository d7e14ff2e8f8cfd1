"""Ends a worker that takes more time, or more of the disk, than an image may.

The kernel limits how long a file is, not how much of it there is, and mkfs.erofs makes its file 2 TiB long. So what
the files take is looked at twice a second; what a worker taken over could write meanwhile is some seconds' worth.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

_LOOK_EVERY_S = 0.5
_BLOCK_BYTES = 512  # of st_blocks: stat(2)


class Killable(Protocol):
    """What can be ended at once."""

    def kill(self) -> None: ...


@dataclass(slots=True)
class Guard:
    """`reason` is why it ended the worker, if it did."""

    reason: str | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self, worker: Killable, files: Sequence[int], timeout_s: float, max_bytes: int) -> None:
        until = time.monotonic() + timeout_s
        while not self._ended.wait(min(_LOOK_EVERY_S, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until:
                self.reason = "it took too long (INFERNO_IMAGE_TIMEOUT)"
            elif sum(os.fstat(file).st_blocks for file in files) * _BLOCK_BYTES > max_bytes:
                self.reason = f"its base takes more than {max_bytes >> 20} MiB to make (INFERNO_IMAGE_MAX_MB)"
            else:
                continue
            worker.kill()
            return

    def end(self) -> None:
        self._ended.set()


@contextlib.contextmanager
def guarded(worker: Killable, files: Sequence[int], timeout_s: float, max_bytes: int) -> Iterator[Guard]:
    """Watch over a worker and the open files that it writes, while the `with` lasts."""
    guard = Guard()
    thread = threading.Thread(target=guard.watch, args=(worker, files, timeout_s, max_bytes), daemon=True)
    thread.start()
    try:
        yield guard
    finally:
        guard.end()
        thread.join()  # before the files are closed, whose numbers would then be others'
