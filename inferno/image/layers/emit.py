"""Writes a settled tree as one tar stream that mkfs.erofs reads: sorted, parents first, hard links after their target.

Headers are ustar, with pax records for what does not fit. Data of larger files goes by splice from the layer into the
pipe, never through Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from inferno.base import files
from inferno.image.layers.entry import (
    BLOCK_DEVICE,
    CHAR,
    DIRECTORY,
    FILE,
    HARD_LINK,
    SYMLINK,
    BadImageError,
    Entry,
)
from inferno.image.layers.tar import checksum
from inferno.image.layers.tree import Tree

BLOCK = 512
_ZEROS = bytes(1 << 16)
_SMALL_BYTES = 1 << 14  # read and joined to the headers around it: that is cheaper than two more system calls
_BUFFER_BYTES = 1 << 16
_SPLICE_BYTES = 1 << 30
_MAX_OCTAL_ID = 0o7777777
_MAX_OCTAL_SIZE = 0o77777777777
_SECOND_NS = 1_000_000_000
# mkfs.erofs 1.7 and 1.8 have no more room for a header, and say "Input/output error"; but one entry may have several.
_MAX_RECORDS_BYTES = 1 << 15


class _Stream:
    """A pipe, written in large pieces."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._parts: list[bytes] = []
        self._length = 0

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._length += len(data)
        if self._length >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self._parts)
        self._parts, self._length = [], 0
        files.write_all(self._descriptor, data)

    def copy(self, source: int, offset: int, size: int) -> None:
        """Bytes of an open file. Raises BadImageError when it ends before."""
        if size <= _SMALL_BYTES:
            data = os.pread(source, size, offset)
            if len(data) < size:
                raise BadImageError("a layer ends in the middle of a file")
            self.write(data)
            return
        self.flush()
        while size:
            moved = os.splice(source, self._descriptor, min(size, _SPLICE_BYTES), offset)
            if not moved:
                raise BadImageError("a layer ends in the middle of a file")
            offset, size = offset + moved, size - moved

    def zeros(self, size: int) -> None:
        while size:
            piece = min(size, len(_ZEROS))
            self.write(_ZEROS[:piece])
            size -= piece


def write(tree: Tree, layers: Sequence[int], pipe: int, progress: Callable[[int], None]) -> None:
    """Write the whole stream into `pipe`; `layers` are the open, decompressed archives that entries refer to.

    `progress` is told the bytes of data written so far.
    """
    stream = _Stream(pipe)
    first: dict[int, bytes] = {}
    done = 0
    for path, entry in tree.walk():
        known = first.get(id(entry))
        if known is not None:
            stream.write(header(path, entry, linked_to=known))
            continue
        if entry.kind != DIRECTORY:
            first[id(entry)] = path
        stream.write(header(path, entry))
        if entry.kind == FILE and entry.size:
            _data(stream, entry, layers[entry.layer])
            done += entry.size
            progress(done)
    stream.write(bytes(2 * BLOCK))
    stream.flush()


def _data(stream: _Stream, entry: Entry, layer: int) -> None:
    if entry.chunks is None:
        stream.copy(layer, entry.offset, entry.size)
    else:
        at = 0
        for begin, size, offset in entry.chunks:
            stream.zeros(begin - at)
            stream.copy(layer, offset, size)
            at = begin + size
        stream.zeros(entry.size - at)
    stream.write(bytes(-entry.size % BLOCK))


def header(path: bytes, entry: Entry, linked_to: bytes | None = None) -> bytes:
    """The header block of an entry, after one with pax records when it needs them."""
    kind = entry.kind if linked_to is None else HARD_LINK
    name = path + b"/" if kind == DIRECTORY else path
    if not path:
        name = b"./"
    link = entry.link if kind == SYMLINK else linked_to or b""
    size = entry.size if kind == FILE else 0
    seconds, nanoseconds = divmod(entry.mtime_ns, _SECOND_NS)
    records = []
    if len(name) > 100:
        records.append(_record(b"path", name))
    if len(link) > 100:
        records.append(_record(b"linkpath", link))
    if size > _MAX_OCTAL_SIZE:
        records.append(_record(b"size", b"%d" % size))
    if entry.uid > _MAX_OCTAL_ID:
        records.append(_record(b"uid", b"%d" % entry.uid))
    if entry.gid > _MAX_OCTAL_ID:
        records.append(_record(b"gid", b"%d" % entry.gid))
    if nanoseconds or not 0 <= seconds <= _MAX_OCTAL_SIZE:
        # Of a time before 1970 mkfs.erofs takes the whole seconds with their sign, and adds the fraction.
        records.append(_record(b"mtime", b"%d.%09d" % (seconds, nanoseconds)))
    if entry.xattrs and linked_to is None:
        records += [_record(b"SCHILY.xattr." + key, value) for key, value in entry.xattrs]
    block = _block(kind, name, link, size, entry, max(0, min(seconds, _MAX_OCTAL_SIZE)))
    return _pax(records) + block if records else block


def _pax(records: list[bytes]) -> bytes:
    """Headers with what does not fit into the next."""
    whole = b"".join(records)
    if len(whole) <= _MAX_RECORDS_BYTES:
        return _special(whole)
    parts = [b""]
    for record in records:
        if len(parts[-1]) + len(record) > _MAX_RECORDS_BYTES:
            parts.append(b"")
        parts[-1] += record
    return b"".join(map(_special, parts))


def _special(records: bytes) -> bytes:
    return _block(b"x", b"pax", b"", len(records), None, 0) + records + bytes(-len(records) % BLOCK)


def _block(kind: bytes, name: bytes, link: bytes, size: int, entry: Entry | None, mtime: int) -> bytes:
    mode, uid, gid = (entry.mode, entry.uid, entry.gid) if entry else (0o644, 0, 0)
    major, minor = entry.device if entry and kind in (CHAR, BLOCK_DEVICE) else (0, 0)
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name[:100].ljust(100, b"\0"),
        mode,
        min(uid, _MAX_OCTAL_ID),
        min(gid, _MAX_OCTAL_ID),
        min(size, _MAX_OCTAL_SIZE),
        mtime,
    )
    tail = b"%b%bustar\x0000%b%07o\0%07o\0%b" % (
        kind,
        link[:100].ljust(100, b"\0"),
        bytes(64),
        major,
        minor,
        bytes(167),
    )
    return b"%b%06o\0 %b" % (head, checksum(head + tail) + 8 * 0x20, tail)


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits too."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    return b"%d%b" % (length if len(str(length)) == len(str(len(rest))) else length + 1, rest)
