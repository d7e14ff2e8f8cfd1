"""Decompresses and verifies one layer: gzip, zstd, xz, bzip2 or none, told by its first bytes as Docker does.

The blob's digest is that of the manifest, the content's (diff ID) that of the image's configuration: OCI image spec,
"Layer DiffID". Sizes lie: reading stops at the announced length, writing at the limit.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from typing import NamedTuple

from inferno.base import files
from inferno.image.digests import Sums
from inferno.image.layers import members, tar
from inferno.image.layers.entry import BadImageError

# Stays in the processor's own cache between decompressing, hashing and writing, and below the size from which malloc
# maps every piece anew: with 1 MiB the kernel worked four times as long.
_PIECE_BYTES = 1 << 17
_KINDS = (
    (re.compile(rb"\x1f\x8b"), "gzip"),
    # A frame, or one that a decoder skips, which pzstd and others write first: RFC 8878, 3.1.1 and 3.1.2.
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), "zstd"),
    (re.compile(rb"\xfd7zXZ\0"), "xz"),
    # With the mark of its first block, or of an empty content: a tar may begin with a file named BZh.
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), "bzip2"),
)
_FORMATS = {"gzip": members.gzip, "zstd": members.zstd, "xz": members.xz, "bzip2": members.bzip2}


class Blob(NamedTuple):
    """A layer as it is stored: `size` bytes from `offset` of the open file `descriptor`.

    Digests were checked by `inferno.image.digests`; `diff_id` is None where nothing says what it should be.
    """

    descriptor: int
    offset: int
    size: int
    digest: str | None
    diff_id: str | None


class _Source(io.RawIOBase):
    """The blob's bytes, hashed as they are read."""

    def __init__(self, blob: Blob, sums: Sums) -> None:
        self._blob, self._at, self._sums = blob, 0, sums

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's is wider
        left = self._blob.size - self._at
        if left <= 0:
            return 0
        piece = os.pread(self._blob.descriptor, min(len(buffer), left), self._blob.offset + self._at)
        if not piece:
            raise BadImageError("a layer is shorter than its manifest says")
        buffer[: len(piece)] = piece
        self._sums.update(piece)
        self._at += len(piece)
        return len(piece)


def is_plain(blob: Blob) -> bool:
    """Whether the blob is an archive as it is."""
    return _kind(blob) is None


def verify(blob: Blob, progress: Callable[[int], None]) -> None:
    """Check a blob that needs no decompression."""
    sums = Sums(blob.digest, blob.diff_id)
    source = _Source(blob, sums)
    buffer = memoryview(bytearray(_PIECE_BYTES))
    while length := source.readinto(buffer):
        progress(length)
    _check(blob, sums, sums)


def decompress(blob: Blob, out: int, max_bytes: int, progress: Callable[[int], None]) -> int:
    """Write the blob's content to the file `out`; return its size. `progress` is told how many bytes more.

    Raises BadImageError for a wrong digest, a damaged stream, or content beyond `max_bytes`.
    """
    packed, content = Sums(blob.digest), Sums(blob.diff_id)
    source = _Source(blob, packed)
    size = 0
    try:
        stream = _content(_kind(blob), source)
        while piece := stream.read(_PIECE_BYTES):
            size += len(piece)
            if size > max_bytes:
                raise BadImageError(f"a layer is larger than {max_bytes >> 20} MiB (INFERNO_IMAGE_MAX_MB)")
            content.update(piece)
            progress(len(piece))
            files.write_all(out, piece)
    except (BadImageError, MemoryError):
        raise
    except OSError as error:
        if error.errno:  # the disk's; without a number it is the decompressor's
            raise
        raise BadImageError(f"a layer is damaged: {error}") from None
    except (
        Exception
    ) as error:  # each library has exceptions of its own, which their modules would have to be loaded for
        raise BadImageError(f"a layer is damaged: {error}") from None
    while source.read(_PIECE_BYTES):  # what follows the compressed stream belongs to the blob's digest too
        pass
    _check(blob, packed, content)
    return size


def _kind(blob: Blob) -> str | None:
    """What compressed the blob, by its first bytes; nothing when they are the header of an archive."""
    start = os.pread(blob.descriptor, min(blob.size, tar.BLOCK), blob.offset)
    kind = next((kind for magic, kind in _KINDS if magic.match(start)), None)
    return None if kind and tar.is_header(start) else kind


def _content(kind: str | None, source: _Source) -> members.Stream:
    """The content's stream. Several members, or frames, make one content."""
    return source if kind is None else members.Members(_FORMATS[kind](), source)


def _check(blob: Blob, packed: Sums, content: Sums) -> None:
    for expected, sums, what in ((blob.digest, packed, "digest"), (blob.diff_id, content, "diff ID")):
        if found := sums.differs(expected):
            raise BadImageError(f"a layer is damaged: its {what} is {found}, it should be {expected}")
