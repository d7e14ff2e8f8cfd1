"""Compresses log files that were rotated away, in a thread of the lowest priority; zlib works without Python's lock.

What a killed collector left uncompressed the next one takes up.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import zlib
from pathlib import Path

from inferno.logs import rotation

_PIECE_BYTES = 256 * 1024
_LEVEL = 1  # logs shrink to a tenth with it; the best level takes ten times as long for a quarter less
_GZIP = 31  # zlib.h, deflateInit2: 15 bits of window, plus 16 for a gzip header
_NICEST = 19


class Compressor:
    """Compresses rotated files, in a thread that the first file starts."""

    def __init__(self) -> None:
        self._files: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, path: Path) -> None:
        self._files.put(path)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def add_left(self, log: Path) -> None:
        """What is there of this log uncompressed."""
        for part in rotation.rotated(log):
            if not part.compressed:
                self.add(part.path)

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)
        while True:
            path = self._files.get()
            # Gone meanwhile, or no room: the file stays as it is, and is still one of those that are kept.
            with contextlib.suppress(OSError):
                compress(path)


def compress(path: Path) -> None:
    """Replace `path` by `path`.gz, complete before it has that name. Raises OSError, and then changes nothing."""
    done, making = path.with_name(f"{path.name}.gz"), path.with_name(f"{path.name}.gz.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(path, "rb", buffering=0) as source, open(os.open(making, flags, 0o640), "wb") as target:
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
            while piece := source.read(_PIECE_BYTES):
                target.write(packer.compress(piece))
            target.write(packer.flush())
            info = os.fstat(source.fileno())
        os.utime(making, ns=(info.st_atime_ns, info.st_mtime_ns))  # when it was written last is looked at
        os.rename(making, done)
        try:
            path.unlink()
        except FileNotFoundError:  # too old to be kept meanwhile, or cleared
            done.unlink(missing_ok=True)
    finally:
        making.unlink(missing_ok=True)
