"""Reads what gzip, zstd, xz or bzip2 wrote: several compressed members make one content, and padding may follow them.

What each program makes of bytes behind its last member was tried: gzip 1.12 and bzip2 1.0.8 pass over them, xz 5.4
takes zeros alone, zstd 1.5 nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

# A piece of zstd's is decompressed whole, and 4 bytes may stand for 128 KiB (RFC 8878, 3.1.1.2.2): so 256 MiB at most,
# and as much again while the library joins them, in each of four threads that have 3 GiB together.
_ZSTD_PIECE_BYTES = 1 << 13
# zstd frames may ask for a window of up to 2 GiB; the format's own recommendation for decoders is 8 MiB (RFC 8878,
# 3.1.1.1.2), and `zstd --long` goes to 128.
_MAX_WINDOW_BYTES = 1 << 27


class Stream(Protocol):
    """Bytes, so many or fewer at a time; none at the end."""

    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    """What `bz2`, `lzma` and `isal` give for one member."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class Format(NamedTuple):
    """How a member begins, what decompresses one, and whether zeros, and other bytes, may follow the last one."""

    magics: tuple[bytes, ...]
    new: Callable[[], _Decompressor]
    zeros_may_follow: bool = True
    others_may_follow: bool = False
    max_piece_bytes: int = 1 << 17


def gzip() -> Format:
    from isal import igzip_lib

    flag = igzip_lib.DECOMP_GZIP
    return Format((b"\x1f\x8b",), lambda: igzip_lib.IgzipDecompressor(flag=flag), others_may_follow=True)


def zstd() -> Format:
    skippable = (bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
    magics = (b"\x28\xb5\x2f\xfd", *skippable)
    return Format(magics, _ZstdFrame, zeros_may_follow=False, max_piece_bytes=_ZSTD_PIECE_BYTES)


def xz() -> Format:
    import lzma

    return Format((b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ))


def bzip2() -> Format:
    import bz2

    return Format((b"BZh",), bz2.BZ2Decompressor, others_may_follow=True)


class _ZstdFrame:
    """One frame, in the others' words."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard

        self._frame = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).decompressobj()

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._frame.decompress(data)


class Members:
    """The content, as a stream."""

    def __init__(self, form: Format, source: Stream) -> None:
        self._form, self._source = form, source
        self._member: _Decompressor | None = form.new()

    def read(self, size: int) -> bytes:
        """Some bytes, none at the end: `size` at most but for zstd. Raises EOFError for what is cut off, else the
        library's errors."""
        data = b""
        while self._member is not None:
            if self._member.eof:
                data = self._rest(self._member.unused_data)
                self._member = self._form.new() if data else None
                continue
            if not data and self._member.needs_input:
                data = self._source.read(self._form.max_piece_bytes)
                if not data:
                    raise EOFError("it is cut off")
            piece, data = self._member.decompress(data, size), b""
            if piece:
                return piece
        return b""

    def _rest(self, data: bytes) -> bytes:
        """What begins with the next member, without zeros before it; nothing when there is none."""
        form, longest = self._form, max(map(len, self._form.magics))
        while len(data := data.lstrip(b"\0") if form.zeros_may_follow else data) < longest:
            more = self._source.read(form.max_piece_bytes)
            if not more:
                break
            data += more
        is_member = data.startswith(form.magics)
        if data and not is_member and not form.others_may_follow:
            raise ValueError("what follows it is not of its kind")
        return data if is_member else b""
