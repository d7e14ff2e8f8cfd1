"""Compressed layers as several programs write them, held against what the programs themselves make of the bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
import zstandard

from inferno.image import digests
from inferno.image.layers import decompress
from inferno.image.layers.entry import BadImageError
from tests import images

# More than one piece of what is read at a time; compressible, and not only.
DATA = random.Random(1).randbytes(200_000) + bytes(400_000) + b"the end"
SMALL = b"small"
SKIPPED = b"\x50\x2a\x4d\x18\4\0\0\0pzst"
LARGE_SKIPPED = b"\x5f\x2a\x4d\x18" + (300_000).to_bytes(4, "little") + bytes(300_000)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
GZIP, ZSTD, XZ, BZIP2 = (PACK[name](DATA) for name in PACK)
LEAD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"  # of a gzip member with an extra field
EXTRA = LEAD + (65_000).to_bytes(2, "little") + bytes(65_000) + gzip.compress(DATA, 1)[10:]


def content(packed: bytes, *, diff_id: str | None = None, max_bytes: int = 10 << 20) -> bytes:
    """What is made of a blob, whose digest is right."""
    source, out = os.memfd_create("packed"), os.memfd_create("out")
    try:
        with open(source, "wb", closefd=False) as file:
            file.write(packed)
        blob = decompress.Blob(source, 0, len(packed), digests.of(packed), diff_id)
        size = decompress.decompress(blob, out, max_bytes, lambda count: None)
        return os.pread(out, size + 1, 0)
    finally:
        os.close(source)
        os.close(out)


WHOLE = {
    "gzip": (GZIP, DATA),
    "gzip, members": (GZIP + PACK["gzip"](SMALL) + PACK["gzip"](b"") + GZIP, DATA + SMALL + DATA),
    "gzip, zeros behind it": (GZIP + bytes(300_000), DATA),
    "gzip, something behind it": (GZIP + b"something that is not gzip" * 20_000, DATA),
    "gzip, half of a magic behind it": (GZIP + b"\x1f", DATA),
    "gzip, a large header": (EXTRA, DATA),
    "zstd": (ZSTD, DATA),
    "zstd, frames": (ZSTD + PACK["zstd"](SMALL) + PACK["zstd"](b"") + ZSTD, DATA + SMALL + DATA),
    "zstd, a skippable frame first": (SKIPPED + ZSTD, DATA),
    "zstd, skippable frames all over": (SKIPPED + ZSTD + SKIPPED * 2 + ZSTD + SKIPPED, DATA * 2),
    "zstd, a large skippable frame": (LARGE_SKIPPED + ZSTD, DATA),
    "xz": (XZ, DATA),
    "xz, streams": (XZ + PACK["xz"](SMALL) + XZ, DATA + SMALL + DATA),
    "xz, padding": (XZ + bytes(400_000) + XZ + bytes(8), DATA * 2),
    "bzip2": (BZIP2, DATA),
    "bzip2, streams": (BZIP2 + PACK["bzip2"](SMALL) + BZIP2, DATA + SMALL + DATA),
    "bzip2, something behind it": (BZIP2 + b"something", DATA),
    "bzip2, of nothing": (PACK["bzip2"](b""), b""),
}  # fmt: skip
# The program waits for the other half.
STRICTER = ("gzip, half of a magic behind it",)


@pytest.mark.parametrize(("packed", "expected"), WHOLE.values(), ids=WHOLE)
def test_what_is_whole(packed: bytes, expected: bytes) -> None:
    assert content(packed, diff_id=digests.of(expected)) == expected


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in STRICTER])
def test_the_programs_make_the_same_of_it(name: str) -> None:
    (packed, expected), program = WHOLE[name], name.partition(",")[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here")
    found = subprocess.run([program, "-dc"], input=packed, capture_output=True, check=False)
    assert found.stdout == expected
    assert found.returncode == 0 or b"trailing garbage ignored" in found.stderr


@pytest.mark.parametrize(
    "packed",
    [GZIP[:-3], GZIP[: len(GZIP) // 2], GZIP + b"\x1f\x8b", GZIP + GZIP[:20], GZIP[:-8] + bytes(8),
     ZSTD + bytes(8), ZSTD + b"something", SKIPPED + b"something", XZ[:-3], XZ + b"something", XZ + bytes(4) + b"x",
     BZIP2[:-3], BZIP2 + b"BZh9", b"\x1f\x8b", b"\x28\xb5\x2f\xfd\xff", ZSTD[:-3], ZSTD + SKIPPED[:-1], SKIPPED[:6],
     ZSTD + ZSTD[:3]],
    ids=map(str, itertools.count()),  # these bytes have the time in them
)  # fmt: skip
def test_what_is_damaged(packed: bytes) -> None:
    with pytest.raises(BadImageError, match=r"^a layer is damaged: "):
        content(packed)


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_what_becomes_too_large(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadImageError, match="INFERNO_IMAGE_MAX_MB"):
        content(pack(bytes(4 << 20)), max_bytes=1 << 20)


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_wrong_content_of_a_right_blob(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadImageError, match="its diff ID"):
        content(pack(DATA), diff_id=digests.of(b"other"))


@pytest.mark.parametrize("name", ["BZhello", "BZh91AY&SY", "\x1f\x8b\x08", "\x28¸", "(\udcb5/\udcfd", "P*M\x18x"])
def test_a_name_like_a_magic_makes_no_compressed_layer(name: str) -> None:
    """A plain archive begins with the name of its first entry."""
    data = images.tar([images.file(name, b"x")])
    assert content(data) == data


def test_a_plain_layer_and_an_empty_one() -> None:
    assert content(DATA[:600]) == DATA[:600]
    assert content(b"") == b""
    assert content(b"BZh") == b"BZh"


def test_a_zstd_window_of_two_gib_is_refused() -> None:
    """The header alone asks for the memory: RFC 8878, 3.1.1.1.2."""
    with pytest.raises(BadImageError, match=r"memory|window"):
        content(b"\x28\xb5\x2f\xfd\0\xa8" + b"\1\0\0")


def test_four_bytes_for_128_kib_each_take_bounded_memory() -> None:
    """2.5 GiB by blocks that repeat one byte (RFC 8878, 3.1.1.2.2), in a process that may have one."""
    count = 20_000
    block, last = [(flag | 1 << 1 | (1 << 17) << 3).to_bytes(3, "little") + b"\0" for flag in (0, 1)]
    code = (
        "import os, sys; from inferno.image.layers import decompress, entry\n"
        "blob = decompress.Blob(0, 0, os.fstat(0).st_size, None, None)\n"
        "try: decompress.decompress(blob, os.memfd_create('out'), 1 << 20, lambda count: None)\n"
        "except entry.BadImageError as error: print(error)"
    )
    with open(os.memfd_create("bomb"), "w+b") as bomb:
        bomb.write(b"\x28\xb5\x2f\xfd\0\x50" + block * (count - 1) + last)
        bomb.seek(0)
        ended = subprocess.run(
            [sys.executable, "-c", code],
            stdin=bomb,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)),
        )
    assert ended.stdout == "a layer is larger than 1 MiB (INFERNO_IMAGE_MAX_MB)\n", ended.stderr


def test_bytes_behind_the_content_belong_to_the_digest() -> None:
    packed = GZIP + b"something"
    source = os.memfd_create("packed")
    try:
        os.write(source, packed)
        blob = decompress.Blob(source, 0, len(packed), digests.of(GZIP), None)
        with pytest.raises(BadImageError, match="its digest"), io.FileIO(os.memfd_create("out"), "w") as out:
            decompress.decompress(blob, out.fileno(), 10 << 20, lambda count: None)
    finally:
        os.close(source)
