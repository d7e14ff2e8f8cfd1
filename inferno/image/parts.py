"""Where the parts of an image's archive lie in it: one pass over its headers, and links followed among its own names.

This runs in infernoctl itself, so it is bounded whatever the archive says: so many headers and bytes of them, each
looked at once, and so many links.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from inferno.base.errors import UsageError
from inferno.image import manifest
from inferno.image.layers import tar
from inferno.image.layers.decompress import Blob
from inferno.image.layers.entry import FILE, HARD_LINK, SYMLINK, BadImageError, Entry
from inferno.image.reference import Reference

# An image of 512 layers, as old Dockers saved it, has 1,600 parts. What long names and times of these take is a tenth.
_BOUNDS = tar.Bounds(headers=60_000, special_bytes=4 << 20)
_MAX_PARTS = 20_000
_MAX_LINKS = 40  # MAXSYMLINKS, include/linux/namei.h
_MAX_DEPTH = 64
_MAX_BYTES = manifest.MAX_MANIFEST_BYTES
_MAX_SHOWN_CHARS = 200


class Archive(NamedTuple):
    """An open archive: where each part of it lies, by a name without `./` or a leading slash."""

    ref: Reference
    descriptor: int
    parts: dict[str, Entry]

    def part(self, name: str) -> Entry:
        """A part by its name, through links inside the archive. Raises UsageError when it is missing.

        A symlink is from its own folder, a hard link from the top. Some programs write it the other way round, which is
        tried when the right one leads to nothing.
        """
        entry = self.parts.get(self._follow(name))
        if entry is None:
            with contextlib.suppress(UsageError):
                entry = self.parts.get(self._follow(name, other_way=True))
        if entry is None or entry.kind != FILE:
            text = f"{self.ref.name} is not whole: {name[:_MAX_SHOWN_CHARS]} is missing"
            raise UsageError(text, "save the image again")
        return entry

    def read(self, name: str) -> bytes:
        """A small part's content."""
        entry = self.part(name)
        if entry.size > _MAX_BYTES:
            text = f"{self.ref.name}: {name[:_MAX_SHOWN_CHARS]} has {entry.size} bytes; {_MAX_BYTES} are allowed"
            raise UsageError(text)
        return os.pread(self.descriptor, entry.size, entry.offset)

    def layer(self, name: str, digest: str | None, diff_id: str | None) -> Blob:
        entry = self.part(name)
        return Blob(self.descriptor, entry.offset, entry.size, digest, diff_id)

    def _follow(self, name: str, *, other_way: bool = False) -> str:
        """Where a name leads to, as if the archive were unpacked and its top the root. Raises UsageError for a link
        that leads out of it or in a circle."""
        trail: list[str] = []
        left, links = name.split("/")[::-1], 0
        while left:
            here = left.pop()
            if here in ("", "."):
                continue
            if here == "..":
                if not trail:
                    raise self._bad(name, "leads out of the archive")
                trail.pop()
                continue
            trail.append(here)
            if len(trail) > _MAX_DEPTH or len(left) > tar.MAX_PATH_BYTES:
                raise self._bad(name, "has too many parts")
            entry = self.parts.get("/".join(trail))
            if entry is not None and entry.kind in (SYMLINK, HARD_LINK):
                links += 1
                if links > _MAX_LINKS:
                    raise self._bad(name, "leads in a circle, or over too many links")
                from_its_folder = (entry.kind == SYMLINK) != other_way and not entry.link.startswith(b"/")
                trail = trail[:-1] if from_its_folder else []
                left += os.fsdecode(entry.link).split("/")[::-1]
        return "/".join(trail)

    def _bad(self, name: str, what: str) -> UsageError:
        return UsageError(f"{self.ref.name}: {name[:_MAX_SHOWN_CHARS]} {what}", "save the image again")


def index(ref: Reference, descriptor: int, size: int) -> Archive:
    """Look through an open archive. Raises UsageError when it is none, or has more parts than an image can have.

    Of a name that comes twice the last one counts, and a hard link is what had its target's name by then, as if the
    archive were unpacked.
    """
    found: dict[str, Entry] = {}
    try:
        for number, entry in enumerate(tar.entries(descriptor, size, 0, bounds=_BOUNDS)):
            if number >= _MAX_PARTS:
                raise BadImageError(f"more than {_MAX_PARTS} parts")
            entry.xattrs = None  # up to 1 MiB each
            target = found.get(_plain(entry.link)) if entry.kind == HARD_LINK else None
            found[_plain(entry.name)] = target or entry
    except BadImageError as error:
        raise UsageError(f"{ref.name} is not an archive of an image: {error}", "save the image again") from None
    return Archive(ref, descriptor, found)


def _plain(name: bytes) -> str:
    return os.path.normpath(os.fsdecode(name)).lstrip("/")
