"""Files with holes, in GNU tar's four ways to write them: the old `S` header, and pax records 0.0, 0.1 and 1.0.

Formats: GNU tar's manual, "Storing Sparse Files". An entry gets its `chunks`, and its size becomes the real one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from inferno.image.layers.entry import BadImageError, Entry, shown

BLOCK = 512
_OLD_MAP = 386  # in an old header: four pairs of 12-byte numbers, then whether more follow, then the real size
_PAIRS, _MORE_PAIRS = 4, 21
_PAIR = struct.Struct("12s12s")
_MAX_CHUNKS = 1 << 17  # Go's archive/tar reads maps of 1 MiB, in which there is room for fewer

Read = Callable[[int, int], bytes]


def is_pax(records: Mapping[bytes, bytes]) -> bool:
    return b"GNU.sparse.map" in records or records.get(b"GNU.sparse.major") == b"1"


def old_gnu(entry: Entry, read: Read) -> None:
    """The map is in the header before the data, and goes on in blocks behind it."""
    header = read(entry.offset - BLOCK, BLOCK)
    numbers = _pairs(entry, header[_OLD_MAP:], _PAIRS)
    more, real = header[482], _octal(entry, header[483:495])
    offset = entry.offset
    while more:
        block = read(offset, BLOCK)
        if len(block) < BLOCK:
            raise BadImageError("a layer ends in the middle of a header")
        numbers += _pairs(entry, block, _MORE_PAIRS)
        more = block[504]
        offset += BLOCK
        if len(numbers) > 2 * _MAX_CHUNKS:
            raise _bad(entry)
    entry.offset = offset
    _place(entry, numbers, real, offset, entry.size)


def pax(entry: Entry, records: Mapping[bytes, bytes], read: Read) -> None:
    """0.0 and 0.1 have the map among the records, 1.0 in front of the data."""
    real = records.get(b"GNU.sparse.realsize", records.get(b"GNU.sparse.size", b""))
    stored, offset = entry.size, entry.offset
    if b"GNU.sparse.map" in records:
        numbers = [_decimal(entry, number) for number in records[b"GNU.sparse.map"].split(b",") if number]
    else:
        numbers, length = _map(entry, read, offset, stored)
        stored, offset = stored - length, offset + length
    _place(entry, numbers, _decimal(entry, real), offset, stored)


def _map(entry: Entry, read: Read, offset: int, stored: int) -> tuple[list[int], int]:
    """Version 1.0's decimal numbers, a line each: how many pairs, the pairs; padded to whole blocks."""
    numbers: list[int] = []
    length, rest = 0, b""
    while not numbers or len(numbers) < 1 + 2 * numbers[0]:
        block = read(offset + length, BLOCK)
        length += BLOCK
        if len(block) < BLOCK or length > stored or len(rest) > BLOCK:
            raise _bad(entry)
        *lines, rest = (rest + block).split(b"\n")
        wanted = (1 + 2 * numbers[0] if numbers else 1 + 2 * _decimal(entry, lines[0]) if lines else 0) - len(numbers)
        numbers += [_decimal(entry, line) for line in lines[:wanted]]
        if numbers and numbers[0] > _MAX_CHUNKS:
            raise _bad(entry)
    return numbers[1:], length


def _place(entry: Entry, numbers: list[int], real: int, offset: int, stored: int) -> None:
    """Check the map, and say where each chunk's data is. Chunks are in order and do not overlap."""
    chunks, end, taken = [], 0, 0
    if len(numbers) % 2 or len(numbers) > 2 * _MAX_CHUNKS:
        raise _bad(entry)
    for at, size in zip(numbers[::2], numbers[1::2], strict=True):
        if at < end or at + size > real or taken + size > stored:
            raise _bad(entry)
        if size:
            chunks.append((at, size, offset + taken))
        end, taken = at + size, taken + size
    entry.size, entry.chunks = real, chunks


def _pairs(entry: Entry, data: bytes, count: int) -> list[int]:
    numbers: list[int] = []
    for at, size in _PAIR.iter_unpack(data[: count * _PAIR.size]):
        if at[0] == 0 or size[0] == 0:
            break
        numbers += [_octal(entry, at), _octal(entry, size)]
    return numbers


def _octal(entry: Entry, field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):  # int would take a sign too, and a negative size would make room for other files
        raise _bad(entry)
    return int(digits, 8) if digits else 0


def _decimal(entry: Entry, text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise _bad(entry)
    return int(text)


def _bad(entry: Entry) -> BadImageError:
    return BadImageError(f"{shown(entry.name)}: a sparse file with a malformed map")
