"""Reads the tar archives that init sends: ustar, with pax records for what does not fit (guest/src/tar.rs).

Why not tarfile: it keeps a record of whatever size in memory, and takes formats that init never writes. The bytes are
an attacker's: anything but the one shape ends the copy.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from inferno.base.errors import InfernoError
from inferno.base.text import printable

FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_KINDS = frozenset({FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO})
_PAX = b"x"
_BLOCK = 512
_ZEROS = bytes(_BLOCK)
# name mode uid gid size mtime checksum type link magic+version uname gname major minor prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_MAX_RECORDS_BYTES = 64 * 1024
_MAX_PATH_BYTES = 4096
_OCTAL, _DECIMAL = re.compile(rb"[0-7]{1,11}[\0 ]{0,2}"), re.compile(rb"-?[0-9]{1,18}")
# The times that every file system of Linux's can hold.
_MAX_TIME_S = (1 << 34) - 1
_MAX_ID = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, without its bytes. `mtime` is in seconds since 1970."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes

    def shown(self) -> str:
        return shown(self.name)


class Reader:
    """`source` returns at most so many bytes, none at the end."""

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._left = 0  # of the entry's bytes
        self._padding = 0

    def next(self) -> Entry | None:
        """The next entry; None at the end of the archive, after which nothing may come. Raises InfernoError."""
        while self._left:
            self.read(self._left)
        self._exactly(self._padding)
        records: dict[bytes, bytes] = {}
        fields = self._header()
        if fields is not None and fields[7] == _PAX:
            records = _records(self._exactly(_octal(fields[4], _MAX_RECORDS_BYTES), pad=True))
            fields = self._header()
            if fields is None:
                raise _malformed("it ends after the records of an entry")
        if fields is None:
            return None
        entry = _entry(fields, records)
        self._left = entry.size
        self._padding = -entry.size % _BLOCK
        return entry

    def read(self, length: int) -> bytes:
        """Some of the entry's bytes, none at their end."""
        length = min(length, self._left, 1 << 16)
        data = self._source(length) if length else b""
        if length and not data:
            raise _malformed("it ends in the middle of a file")
        self._left -= len(data)
        return data

    def _header(self) -> tuple[bytes, ...] | None:
        block = self._exactly(_BLOCK)
        if block == _ZEROS:
            if self._exactly(_BLOCK) != _ZEROS or self._source(1):
                raise _malformed("something follows its end")
            return None
        fields = _HEADER.unpack(block)
        if _octal(fields[6], 1 << 20) != sum(block) - sum(fields[6]) + 8 * 0x20 or fields[9] != b"ustar\x0000":
            raise _malformed("a header is damaged")
        return fields

    def _exactly(self, length: int, *, pad: bool = False) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._source(length - len(data))
            if not more:
                raise _malformed("it ends too early")
            data += more
        if pad:
            self._exactly(-length % _BLOCK)
        return bytes(data)


def shown(name: bytes) -> str:
    """A name as one may show it."""
    return printable(name.decode(errors="backslashreplace"))


def _entry(fields: tuple[bytes, ...], records: dict[bytes, bytes]) -> Entry:
    kind = fields[7]
    if kind not in _KINDS or fields[14].strip(b"\0"):
        raise _malformed("an entry of a kind that init does not send")

    def number(key: bytes, field: bytes, most: int) -> int:
        return _decimal(records[key], most) if key in records else _octal(field, most)

    entry = Entry(
        name=records.get(b"path", fields[0].partition(b"\0")[0]),
        kind=kind,
        mode=_octal(fields[1], 0o7777),
        uid=number(b"uid", fields[2], _MAX_ID),
        gid=number(b"gid", fields[3], _MAX_ID),
        size=number(b"size", fields[4], 1 << 62),
        mtime=min(number(b"mtime", fields[5], 1 << 62), _MAX_TIME_S),
        link=records.get(b"linkpath", fields[8].partition(b"\0")[0]),
    )
    for text, wanted in ((entry.name, True), (entry.link, kind in (HARD_LINK, SYMLINK))):
        if b"\0" in text or len(text) > _MAX_PATH_BYTES or (wanted and not text):
            raise _malformed("a path that is none")
    if min(entry.size, entry.uid, entry.gid) < 0 or (entry.size and kind != FILE):
        raise _malformed("a number that cannot be")
    return entry


def _records(data: bytes) -> dict[bytes, bytes]:
    """`LENGTH KEY=VALUE\\n` each."""
    found: dict[bytes, bytes] = {}
    start = 0
    while start < len(data):
        digits, _, _ = data[start : start + 8].partition(b" ")
        end = start + (int(digits) if digits.isdigit() else 0)
        record = data[start + len(digits) + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or len(data) < end or record[-1:] != b"\n":
            raise _malformed("a record is damaged")
        found[key] = value
        start = end
    return found


def _octal(field: bytes, most: int) -> int:
    if not _OCTAL.fullmatch(field):
        raise _malformed("a number is none")
    return _within(int(field.rstrip(b"\0 "), 8), most)


def _decimal(text: bytes, most: int) -> int:
    if not _DECIMAL.fullmatch(text):
        raise _malformed("a number is none")
    return _within(int(text), most)


def _within(value: int, most: int) -> int:
    if abs(value) > most:
        raise _malformed("a number is too large")
    return value


def _malformed(why: str) -> InfernoError:
    return InfernoError(f"the guest sent a bad archive: {why}")
