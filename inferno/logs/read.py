"""Reads the files of a log, from the end or from the start, line by line, however large and however often rotated."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from inferno.logs import rotation

_BLOCK_BYTES = 64 * 1024


def end(log: Path) -> int:
    """The position after the last whole line: one that is being written does not count."""
    number, file = rotation.latest(log)
    if file is None:
        return rotation.join(number, 0)
    with file:
        position = os.fstat(file.fileno()).st_size
        while position > 0:
            size = min(_BLOCK_BYTES, position)
            position -= size
            if (at := os.pread(file.fileno(), size, position).rfind(b"\n")) >= 0:
                return rotation.join(number, position + at + 1)
    return rotation.join(number, 0)


def backwards(log: Path, since: int = 0, until: int | None = None) -> Iterator[bytes]:
    """Whole lines, the newest first: from the position `until`, or the end, back to the position `since`."""
    first, start = rotation.split(since)
    number, file = rotation.latest(log)
    last, stop = (number, None) if until is None else rotation.split(until)
    if file is not None:
        with file:
            if first <= number <= last:
                yield from _lines_backwards(file, start if number == first else 0, stop if number == last else None)
    for part in reversed(rotation.rotated(log)):
        if first <= part.number <= last and part.number < number:
            with contextlib.suppress(FileNotFoundError), opened(part) as plain:
                at = start if part.number == first else 0
                yield from _lines_backwards(plain, at, stop if part.number == last else None)


def forwards(log: Path, newer_than: float = 0) -> Iterator[bytes]:
    """Whole lines, the oldest first; without files that were written last before `newer_than` (seconds since 1970)."""
    number, file = rotation.latest(log)
    with file or contextlib.nullcontext():
        for part in rotation.rotated(log):
            if part.number < number and _written_at(part) >= newer_than:
                with contextlib.suppress(FileNotFoundError), opened(part) as plain:
                    yield from _whole(plain)
        if file is not None:
            with open(file.fileno(), "rb", closefd=False) as buffered:
                yield from _whole(buffered)


@contextlib.contextmanager
def opened(part: rotation.Part) -> Iterator[BinaryIO]:
    """The part's plain bytes, as a file one can seek in. Raises FileNotFoundError when it is gone."""
    with contextlib.ExitStack() as held:
        try:
            plain: BinaryIO = held.enter_context(open(part.path, "rb"))
        except FileNotFoundError:  # compressed between the two looks
            part = rotation.Part(part.number, part.path.with_name(f"{part.path.name.removesuffix('.gz')}.gz"))
            plain = held.enter_context(open(part.path, "rb"))
        if part.compressed:
            import gzip
            import shutil

            packed, plain = plain, held.enter_context(tempfile.TemporaryFile())
            with gzip.open(packed) as source:
                shutil.copyfileobj(source, plain, 1 << 20)
            plain.seek(0)
        yield plain


def _written_at(part: rotation.Part) -> float:
    try:
        return part.path.stat().st_mtime
    except FileNotFoundError:
        return math.inf  # it is being compressed, perhaps


def _whole(file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        if line.endswith(b"\n"):
            yield line[:-1]


def _lines_backwards(file: BinaryIO, start: int, stop: int | None) -> Iterator[bytes]:
    """The lines between two offsets, the last first. What has no newline yet is not a line."""
    position = os.fstat(file.fileno()).st_size if stop is None else stop
    tail: bytes | None = None  # the beginning of the line after the block; None: what follows is not a whole line
    while position > start:
        size = min(_BLOCK_BYTES, position - start)
        position -= size
        block = os.pread(file.fileno(), size, position)
        head, *lines = block.split(b"\n")
        if not lines:
            tail = None if tail is None else head + tail
            continue
        *whole, last = lines
        if tail is not None:
            yield last + tail
        yield from reversed(whole)
        tail = head
    if tail is not None:
        yield tail
