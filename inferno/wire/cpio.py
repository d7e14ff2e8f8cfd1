"""The initrd's archive format, "newc" cpio: same entries, same bytes.

Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. The kernel unpacks archives that
follow one another, so a VM's initrd is a shared init.cpio with a small archive of its own behind it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from inferno.base import files

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Entry(NamedTuple):
    """A directory (content is None) or a file, root's, of time 0; `path` is relative, `mode` the permission bits."""

    path: str
    mode: int
    content: bytes | None = None


def write(out: BinaryIO, entries: Iterable[Entry]) -> None:
    """Write one archive, trailer included, padded to 4 bytes (so that another may follow)."""
    for number, entry in enumerate(entries, 1):
        kind = stat.S_IFDIR if entry.content is None else stat.S_IFREG
        links = 2 if entry.content is None else 1
        out.write(b"".join(_member(number, entry.path, kind | entry.mode, links, entry.content or b"")))
    out.write(b"".join(_member(0, _TRAILER, 0, 1, b"")))


def _member(number: int, path: str, mode: int, links: int, content: bytes) -> Iterator[bytes]:
    name = path.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = _MAGIC + b"".join(b"%08x" % field for field in fields)
    yield header + name
    yield bytes(-(len(header) + len(name)) % 4)
    yield content
    yield bytes(-len(content) % 4)


def concatenate(out: Path, parts: Iterable[Path]) -> None:
    """Write archives one after another, into a file that nobody else reads; each already ends on 4 bytes."""
    with open(out, "wb", opener=files.private) as file:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())
