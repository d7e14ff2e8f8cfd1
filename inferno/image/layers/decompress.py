"""Decompresses and verifies one layer: gzip, zstd, xz, bzip2 or none, told by its first bytes as Docker does.

The blob's digest is that of the manifest, the content's (diff ID) that of the image's configuration: OCI image spec,
"Layer DiffID". Sizes lie: reading stops at the announced length, writing at the limit.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from typing import IO, NamedTuple, cast

from inferno.image.layers.entry import BadImageError

# Stays in the processor's own cache between decompressing, hashing and writing, and below the size from which malloc
# maps every piece anew: with 1 MiB the kernel worked four times as long.
_PIECE_BYTES = 1 << 17
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"))
# zstd frames may ask for a window of up to 2 GiB; the format's own recommendation for decoders is 8 MiB (RFC 8878,
# 3.1.1.1.2), and `zstd --long` goes to 128.
_MAX_WINDOW_BYTES = 1 << 27


class Blob(NamedTuple):
    """A layer as it is stored: `size` bytes from `offset` of the open file `descriptor`. Digests are `sha256:` and hex.

    `diff_id` is None where nothing says what it should be.
    """

    descriptor: int
    offset: int
    size: int
    digest: str | None
    diff_id: str | None


class _Source(io.RawIOBase):
    """The blob's bytes, hashed as they are read."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._at = blob, 0
        self.digest = hashlib.sha256()

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
        self.digest.update(piece)
        self._at += len(piece)
        return len(piece)


def is_plain(blob: Blob) -> bool:
    """Whether the blob is an archive as it is."""
    return _kind(blob) is None


def verify(blob: Blob, progress: Callable[[int], None]) -> None:
    """Check a blob that needs no decompression."""
    source = _Source(blob)
    buffer = memoryview(bytearray(_PIECE_BYTES))
    while length := source.readinto(buffer):
        progress(length)
    _check(blob, source.digest.hexdigest(), source.digest.hexdigest())


def decompress(blob: Blob, out: int, max_bytes: int, progress: Callable[[int], None]) -> int:
    """Write the blob's content to the file `out`; return its size. `progress` is told how many bytes more.

    Raises BadImageError for a wrong digest, a damaged stream, or content beyond `max_bytes`.
    """
    source = _Source(blob)
    content = hashlib.sha256()
    size = 0
    try:
        with _open(_kind(blob), source) as stream:
            while piece := stream.read(_PIECE_BYTES):
                size += len(piece)
                if size > max_bytes:
                    raise BadImageError(f"a layer is larger than {max_bytes >> 20} MiB (INFERNO_IMAGE_MAX_MB)")
                content.update(piece)
                progress(len(piece))
                _write(out, piece)
    except BadImageError:
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
    _check(blob, source.digest.hexdigest(), content.hexdigest())
    return size


def _kind(blob: Blob) -> str | None:
    start = os.pread(blob.descriptor, min(blob.size, 8), blob.offset)
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)


def _open(kind: str | None, source: _Source) -> IO[bytes]:
    """The content's stream. Of gzip and zstd, several members make one content."""
    if kind == "gzip":
        from isal import igzip

        opened = igzip.GzipFile(fileobj=io.BufferedReader(source, _PIECE_BYTES))  # type: ignore[no-untyped-call]
        return cast(IO[bytes], opened)
    if kind == "zstd":
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        return cast(IO[bytes], decompressor.stream_reader(cast(IO[bytes], source), read_across_frames=True))
    if kind == "xz":
        import lzma

        return cast(IO[bytes], lzma.LZMAFile(io.BufferedReader(source)))
    if kind == "bzip2":
        import bz2

        return cast(IO[bytes], bz2.BZ2File(io.BufferedReader(source)))
    return cast(IO[bytes], source)


def _write(out: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(out, view) :]


def _check(blob: Blob, digest: str, diff_id: str) -> None:
    for expected, actual, what in ((blob.digest, digest, "digest"), (blob.diff_id, diff_id, "diff ID")):
        if expected is not None and expected != f"sha256:{actual}":
            raise BadImageError(f"a layer is damaged: its {what} is sha256:{actual}, it should be {expected}")
