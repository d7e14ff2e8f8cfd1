"""Reads the headers of a tar archive: POSIX ustar and pax, GNU's long names, big numbers and sparse files.

Why not tarfile: it takes 95 us for an entry, this some 10, and images have tens of thousands. Data is never read,
only passed over. Formats: POSIX.1-2017, pax; GNU tar's manual, "Tar Internals".
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from inferno.image.layers import limits, sparse
from inferno.image.layers.entry import (
    BLOCK_DEVICE,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    MODE_BITS,
    SYMLINK,
    BadImageError,
    Entry,
    shown,
)

BLOCK = 512
_ZEROS = bytes(BLOCK)
_ASCII = bytes(range(128))
_READ_BYTES = 1 << 16
# name mode uid gid size mtime checksum type link magic+version uname gname major minor prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
# Go's archive/tar, which Docker reads layers with, takes no more either (maxSpecialFileSize).
_MAX_SPECIAL_BYTES = 1 << 20
MAX_PATH_BYTES = 4096  # as it is written: with slashes, dots and all
_XATTR = b"SCHILY.xattr."
# Attributes as bsdtar, star and Red Hat's tar write them beside or instead: Docker passes over them.
_OTHERS_XATTRS = (b"LIBARCHIVE.xattr.", b"SCHILY.acl.", b"RHT.security.")
# Seconds as pax has them; the exponent is Python's, which writes a float as it prints it.
_TIME = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]{1,3})?")
_SECOND_NS = 1_000_000_000
_LONG_AGO_S = 10**12  # beyond what any file system holds, in either direction
_SPECIAL = (b"x", b"X", b"L", b"K")  # for the next entry: pax, Sun's pax, GNU's long names
_PASSED_OVER = (b"g", b"V")  # pax records for all that follows, as Docker has it; a volume's label
_WITHOUT_DATA = frozenset({HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO})
_FILES = (b"\0", b"0", b"7")
# 7 is contiguous, S sparse; D a directory with a list of its names, GNU's for incremental archives.
_KINDS = {b"\0": FILE, b"7": FILE, b"S": FILE, FILE: FILE, b"D": DIRECTORY, **{kind: kind for kind in _WITHOUT_DATA}}


class Bounds(NamedTuple):
    """What an archive may have at most: headers of any kind, and bytes of pax headers and GNU's long names in all.

    Within bounds no file may have holes: their maps are more to read.
    """

    headers: int
    special_bytes: int


class _Window:
    """The archive's bytes, read in larger pieces than they are asked for."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor, self._start, self.size = descriptor, start, size
        self._data, self._at = b"", 0

    def read(self, offset: int, length: int) -> bytes:
        inside = offset - self._at
        if inside < 0 or inside + length > len(self._data):
            wanted = min(max(length, _READ_BYTES), self.size - offset)
            self._data = os.pread(self._descriptor, wanted, self._start + offset) if wanted > 0 else b""
            self._at, inside = offset, 0
        return self._data[inside : inside + length]


def entries(
    descriptor: int,
    size: int,
    layer: int,
    start: int = 0,
    left_out: limits.LeftOut | None = None,
    *,
    bounds: Bounds | None = None,
) -> Iterator[Entry]:
    """The entries of the archive of `size` bytes at `start` of an open file, in its order. `layer` is noted in each.

    Offsets in the entries are the file's. `left_out` is told of entries that are passed over, their path being longer
    than any could be. Raises BadImageError for what is not a tar archive.
    """
    window = _Window(descriptor, start, size)
    offset = pending = headers = specials = 0
    special: dict[bytes, bytes] = {}
    while header := _header(window, offset):
        kind, length = header[7], _number(header[4], "size")
        offset += BLOCK
        headers += 1
        specials += length if kind in _SPECIAL else 0
        if bounds:
            _hold(bounds, headers, specials, kind == b"S" or (kind in _FILES and sparse.is_pax(special)))
        if kind in _SPECIAL:
            pending += length  # of all for one entry: they may be many
            if pending > _MAX_SPECIAL_BYTES:
                raise BadImageError(f"headers of {pending} bytes in a layer; {_MAX_SPECIAL_BYTES} are allowed")
            special.update(_special(window, kind, offset, length))
        elif kind not in _PASSED_OVER:
            entry, data = _entry(header, special, window, offset)
            _move(entry, layer, start)
            special, pending, length = {}, 0, data
            if _has_path(entry):
                yield entry
            elif left_out is not None:
                left_out.add(limits.NAME, shown(entry.name))
        offset += -(-length // BLOCK) * BLOCK
        if offset > -(-size // BLOCK) * BLOCK:
            raise BadImageError("a layer ends in the middle of a file")
    if special:
        raise BadImageError("a layer ends with a header that belongs to nothing")


def _hold(bounds: Bounds, headers: int, specials: int, has_holes: bool) -> None:
    if headers > bounds.headers:
        raise BadImageError(f"more than {bounds.headers} headers")
    if specials > bounds.special_bytes:
        raise BadImageError(f"more than {bounds.special_bytes} bytes of names and notes")
    if has_holes:
        raise BadImageError("a file with holes")


def _header(window: _Window, offset: int) -> tuple[bytes, ...] | None:
    """The header at `offset`; None at the end of the archive, which a zero block marks or just comes."""
    block = window.read(offset, BLOCK)
    if not block or (block == _ZEROS and window.read(offset + BLOCK, BLOCK) in (b"", _ZEROS)):
        return None
    if len(block) < BLOCK:
        raise BadImageError("a layer is not a tar archive: it ends in the middle of a header")
    fields = _HEADER.unpack(block)
    total = checksum(block) - sum(fields[6]) + 8 * 0x20
    if (said := _number(fields[6], "checksum")) != total and said != _signed(total, block):
        raise BadImageError(f"a layer is not a tar archive: bad checksum of the header at byte {offset}")
    return fields


def is_header(block: bytes) -> bool:
    """Whether the bytes are one of an archive's headers, by their checksum."""
    try:
        total = checksum(block[:148] + b" " * 8 + block[156:])
        return len(block) == BLOCK and _number(block[148:156], "checksum") in (total, _signed(total, block))
    except BadImageError:
        return False


def checksum(block: bytes) -> int:
    """The sum of a header's bytes, 512 or fewer.

    Adler-32's lower half is one more than the sum modulo 65521, which no 256 bytes reach: a tenth of the time of sum().
    """
    return (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2


def _signed(total: int, block: bytes) -> int:
    """The sum as programs have it that take bytes for signed: early tars, Sun's among them."""
    return total - 256 * len((block[:148] + block[156:]).translate(None, _ASCII))


def _special(window: _Window, kind: bytes, offset: int, length: int) -> dict[bytes, bytes]:
    """What a pax header, or a GNU long name or link, says of the next entry."""
    data = window.read(offset, length)
    if len(data) < length:
        raise BadImageError("a layer ends in the middle of a header")
    if kind in (b"x", b"X"):
        return _pax(data)
    return {b"path" if kind == b"L" else b"linkpath": data.partition(b"\0")[0]}


def _pax(data: bytes) -> dict[bytes, bytes]:
    """`LENGTH KEY=VALUE\\n` records. GNU.sparse 0.0 repeats two of its keys; they are joined as 0.1 writes them."""
    found: dict[bytes, bytes] = {}
    repeated: list[bytes] = []
    data = data.rstrip(b"\0")
    start = 0
    while start < len(data):
        digits, _, _ = data[start : start + 20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[start + len(digits) + 1 : start + length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or len(record) != length - len(digits) - 1 or record[-1:] != b"\n":
            raise BadImageError("a layer has a malformed pax header")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            repeated.append(value)
        else:
            found[key] = value
        start += length
    if repeated:
        found.setdefault(b"GNU.sparse.map", b",".join(repeated))
    return found


def _entry(header: tuple[bytes, ...], special: dict[bytes, bytes], window: _Window, offset: int) -> tuple[Entry, int]:
    """The entry, and how many bytes of data follow its header in the archive. `offset` is where they begin."""
    typeflag = header[7]
    name = special.get(b"path") if special else None
    if not name:
        name = _name(header)
    kind = _KINDS.get(typeflag)
    if kind is None:
        raise BadImageError(f"{shown(name)}: unknown kind of entry {shown(typeflag)}")
    if typeflag == b"\0" and name.endswith(b"/"):
        kind = DIRECTORY  # as tar wrote them before there was a type for it
    entry = Entry(name, kind, _number(header[1], "mode") & MODE_BITS)
    entry.uid, entry.gid = _number(header[2], "uid", signed=True), _number(header[3], "gid", signed=True)
    entry.mtime_ns = _number(header[5], "mtime", signed=True) * _SECOND_NS
    data = _number(header[4], "size")
    if special:
        data = _apply(entry, special, data)
    if kind in (HARD_LINK, SYMLINK):
        entry.link = special.get(b"linkpath", b"") or _text(header[8])
    elif kind in (CHAR, BLOCK_DEVICE):
        entry.device = (_number(header[12], "device", signed=True), _number(header[13], "device", signed=True))
    _check(entry)
    if limits.is_odd(entry):
        limits.fit(entry)
    if kind == FILE:
        entry.size, entry.offset = data, offset
        _find_holes(entry, header, special, window)
        return entry, data if typeflag != b"S" else data + entry.offset - offset
    return entry, 0 if typeflag in _WITHOUT_DATA else data


def _name(header: tuple[bytes, ...]) -> bytes:
    """Where no other header says it."""
    name = _text(header[0])
    return _text(header[14]) + b"/" + name if header[14][0] and header[9][:6] == b"ustar\0" else name


def _check(entry: Entry) -> None:
    if b"\0" in entry.name or b"\0" in entry.link:
        raise BadImageError(f"{shown(entry.name)}: a path with a NUL byte")


def _apply(entry: Entry, special: dict[bytes, bytes], data: int) -> int:
    """Take over pax records; return the size of the data. One without a value leaves what the header says."""
    xattrs = []
    for key, value in special.items():
        if key.startswith(_XATTR):
            xattrs.append((key[len(_XATTR) :], value))
        elif key.startswith(_OTHERS_XATTRS) and _XATTR + key.split(b".xattr.")[-1] not in special:
            entry.lose(limits.XATTR, key)
        elif not value:
            continue
        elif key == b"mtime":
            _set_time(entry, value)
        elif key in (b"uid", b"gid"):
            number = _decimal(value.removeprefix(b"-"))
            setattr(entry, key.decode(), -number if value.startswith(b"-") else number)
        elif key == b"size":
            data = _decimal(value)
        elif key == b"GNU.sparse.name":
            entry.name = value
    entry.xattrs = xattrs or None
    return data


def _move(entry: Entry, layer: int, start: int) -> None:
    """From places in the archive to places in the file that it is in."""
    entry.layer = layer
    entry.offset += start
    if entry.chunks is not None:
        entry.chunks = [(at, count, begin + start) for at, count, begin in entry.chunks]


def _has_path(entry: Entry) -> bool:
    """Whether it could be somewhere. A symlink's target is kept until it is known what the link replaces."""
    if entry.kind == SYMLINK:
        entry.link = entry.link[: limits.MAX_LINK_BYTES + 1]
    return len(entry.name) <= MAX_PATH_BYTES and len(entry.link) <= MAX_PATH_BYTES


def _find_holes(entry: Entry, header: tuple[bytes, ...], special: dict[bytes, bytes], window: _Window) -> None:
    if header[7] == b"S":
        sparse.old_gnu(entry, window.read)
    elif special and sparse.is_pax(special):
        sparse.pax(entry, special, window.read)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, what: str, *, signed: bool = False) -> int:
    """Octal digits, or GNU's base-256 when the highest bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        negative = field[0] & 0x40
        value -= 1 << (len(field) * 8 - 1) if negative else 0
    else:
        digits = field.strip(b" \0").partition(b"\0")[0]
        try:
            value = int(digits, 8) if digits else 0
        except ValueError:
            raise BadImageError(f"a layer has a header with a bad {what}: {shown(field)}") from None
    if value < 0 and not signed:
        raise BadImageError(f"a layer has a header with a negative {what}")
    return value


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise BadImageError(f"a layer has a pax header with a bad number: {shown(text)}")
    return int(text)


def _set_time(entry: Entry, text: bytes) -> None:
    """Seconds with a sign and a fraction; what is finer than ns is cut off. What no tool could mean is left out."""
    found = _TIME.fullmatch(text)
    sign, whole, fraction, exponent = found.groups(b"") if found else (b"", b"", b"", b"")
    if not whole and not fraction:
        entry.lose(limits.TIME, text)
        return
    if exponent:
        nanoseconds = int(min(abs(float(text)), _LONG_AGO_S) * _SECOND_NS)
    else:
        whole = whole.lstrip(b"0")  # int takes no more than 4300 digits, zeros too
        seconds = int(whole or b"0") if len(whole) <= 12 else _LONG_AGO_S
        nanoseconds = seconds * _SECOND_NS + int(fraction[:9].ljust(9, b"0"))
    entry.mtime_ns = -nanoseconds if sign == b"-" else nanoseconds
