"""One object of a layer, or of the file system that comes of all of them."""

from __future__ import annotations

import stat
from typing import Final

# Types as in a tar header's typeflag: POSIX.1-2017, pax, "ustar Interchange Format".
FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


class BadImageError(Exception):
    """The image's bytes are not what they should be; the text is one line for a person."""


class Entry:
    """A file, directory, link or device. Times are in ns since 1970; `mode` is permission bits, set-ids and sticky.

    `layer` and `offset` say where a file's data begins; `chunks`, of a sparse file, are (offset in it, size, offset in
    the layer). `link` is where a symlink or hard link points, `device` is (major, minor), `xattrs` are in the layer's
    order. `children` is a directory's content. `name` is the path in the layer, later the first one emitted. `lost`
    says what `limits.fit` took from it: how often each kind, and what that was the first time.
    """

    __slots__ = (
        "children",
        "chunks",
        "device",
        "gid",
        "kind",
        "layer",
        "link",
        "lost",
        "mode",
        "mtime_ns",
        "name",
        "offset",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self, name: bytes, kind: bytes, mode: int) -> None:
        self.name: bytes = name
        self.kind: Final = kind
        self.mode = mode
        self.uid = self.gid = self.mtime_ns = self.size = self.layer = self.offset = 0
        self.link = b""
        self.device = (0, 0)
        self.xattrs: list[tuple[bytes, bytes]] | None = None
        self.chunks: list[tuple[int, int, int]] | None = None
        self.children: dict[bytes, Entry] | None = {} if kind == DIRECTORY else None
        self.lost: dict[str, tuple[int, bytes]] | None = None

    def lose(self, kind: str, what: bytes) -> None:
        if self.lost is None:
            self.lost = {}
        count, first = self.lost.get(kind, (0, what))
        self.lost[kind] = count + 1, first


def directory(mode: int = 0o755) -> Entry:
    """A directory that no layer describes: root's, of 1970."""
    return Entry(b"", DIRECTORY, mode)


MODE_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | 0o777


def shown(name: bytes) -> str:
    """A name of the image's as one may show it in a line of text."""
    text = repr(name)[2:-1]
    return text if len(text) <= 200 else f"{text[:200]}…"
