"""The files of one log: NAME.log, that grows, and NAME.log.<n>[.gz], that were rotated away; the higher, the newer.

Numbers only go up, so a rotation renames one file, a reader knows which file follows which, and a position in a log
(a file's number and an offset in it, as one integer) means the same before and after a rotation.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# A position is number << OFFSET_BITS | offset. No log file grows to a terabyte.
OFFSET_BITS = 40


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a log: `number` is its place in the chain."""

    number: int
    path: Path

    @property
    def compressed(self) -> bool:
        return self.path.suffix == ".gz"


def rotated(log: Path) -> list[Part]:
    """The files rotated away, the oldest first. One that is there twice, compressed and not, is the plain one."""
    found: dict[int, Part] = {}
    prefix = f"{log.name}."
    try:
        names = os.listdir(log.parent)
    except FileNotFoundError:
        return []
    for name in names:
        digits = name.removeprefix(prefix).removesuffix(".gz")
        if name.startswith(prefix) and digits.isascii() and digits.isdigit():
            part = Part(int(digits), log.with_name(name))
            if part.number not in found or not part.compressed:
                found[part.number] = part
    return [found[number] for number in sorted(found)]


def latest(log: Path) -> tuple[int, BinaryIO | None]:
    """The number of the file that grows, and that file, open; None while there is none."""
    while True:
        try:
            file = open(log, "rb", buffering=0)  # noqa: SIM115  # the caller's to close
        except FileNotFoundError:
            return _next(log), None
        number = _next(log)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(log)):
                return number, file
        file.close()  # it was rotated away between the two looks


def join(number: int, offset: int) -> int:
    """The position of an offset in a file."""
    return number << OFFSET_BITS | offset


def split(position: int) -> tuple[int, int]:
    """The number of the file, and the offset in it."""
    return position >> OFFSET_BITS, position & (1 << OFFSET_BITS) - 1


def _next(log: Path) -> int:
    before = rotated(log)
    return before[-1].number + 1 if before else 0
