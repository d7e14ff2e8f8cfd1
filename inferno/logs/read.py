"""Reads the files of a log, from the end or from the start, line by line, however large and however often rotated."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from inferno.collector import chain

_BLOCK_BYTES = 64 * 1024


def backwards(log: Path, since: int = 0) -> Iterator[bytes]:
    """Whole lines, the newest first, back to the position `since`."""
    first, offset = chain.split(since)
    number, file = chain.latest(log)
    if file is not None:
        with file:
            yield from _lines_backwards(file, offset if number == first else 0)
    for part in reversed(chain.rotated(log)):
        if first <= part.number < number:
            with contextlib.suppress(FileNotFoundError), opened(part) as plain:
                yield from _lines_backwards(plain, offset if part.number == first else 0)


def forwards(log: Path) -> Iterator[bytes]:
    """Whole lines, the oldest first."""
    number, file = chain.latest(log)
    for part in chain.rotated(log):
        if part.number < number:
            with contextlib.suppress(FileNotFoundError), opened(part) as plain:
                yield from _whole(plain)
    if file is not None:
        with open(file.fileno(), "rb", closefd=False) as buffered:
            yield from _whole(buffered)
        file.close()


@contextlib.contextmanager
def opened(part: chain.Part) -> Iterator[BinaryIO]:
    """The part's plain bytes, as a file one can seek in. Raises FileNotFoundError when it is gone."""
    with contextlib.ExitStack() as held:
        try:
            plain: BinaryIO = held.enter_context(open(part.path, "rb"))
        except FileNotFoundError:  # compressed between the two looks
            part = chain.Part(part.number, part.path.with_name(f"{part.path.name.removesuffix('.gz')}.gz"))
            plain = held.enter_context(open(part.path, "rb"))
        if part.compressed:
            import gzip
            import shutil

            packed, plain = plain, held.enter_context(tempfile.TemporaryFile())
            with gzip.open(packed) as source:
                shutil.copyfileobj(source, plain, 1 << 20)
            plain.seek(0)
        yield plain


def _whole(file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        if line.endswith(b"\n"):
            yield line[:-1]


def _lines_backwards(file: BinaryIO, start: int) -> Iterator[bytes]:
    """The lines from byte `start` on, the last first. What has no newline yet is no line."""
    position = os.fstat(file.fileno()).st_size
    tail: bytes | None = None  # the beginning of the line after the block; None: what follows is no whole line
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
