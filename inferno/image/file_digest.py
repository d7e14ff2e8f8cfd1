"""The digest of a user's file, read again only when the file system says that it was written or replaced.

What counts is the time of the inode's last change: no program can set it, as it can the time of the content's. It is
believed where it is fine enough, and older than the look at it: within a tick of the kernel's clock a file can be
written twice with one time. Where either does not hold the file is read, every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

from inferno.base import files, records

# FAT has steps of 2 s, exFAT of 10 ms; the file systems of Linux have the kernel's clock, to the nanosecond.
_COARSE_NS = 10_000_000
_SETTLED_NS = 1_000_000_000


class Known(NamedTuple):
    """A file's digest, and what the file system said of it then."""

    path: str
    identity: list[int]
    digest: str


def of(path: Path, cache: Path) -> str:
    """`sha256:` and hex of the content; `cache` is a folder of ours. Raises OSError, also for what is not a file."""
    note = cache / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    descriptor = files.open_regular(path)
    try:
        identity = _identity(descriptor)
        known = _read(note)
        if known is not None and known.path == os.fspath(path) and known.identity == identity:
            return known.digest
        looked_ns = time.time_ns()
        with open(descriptor, "rb", closefd=False) as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if _identity(descriptor) == identity and _is_telling(identity[-1], looked_ns):
            with contextlib.suppress(OSError, UnicodeEncodeError):
                records.write(note, Known(os.fspath(path), identity, digest))
        return digest
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> list[int]:
    info = os.fstat(descriptor)
    return [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def _is_telling(changed_ns: int, looked_ns: int) -> bool:
    """Whether a later change would show in the time of change. One from the future is of a clock that was set back."""
    return changed_ns % _COARSE_NS != 0 and looked_ns - changed_ns > _SETTLED_NS


def _read(note: Path) -> Known | None:
    try:
        return records.read(Known, note)
    except (OSError, records.BadRecordError):
        return None
