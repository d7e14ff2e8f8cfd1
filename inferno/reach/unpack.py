"""Puts what a guest sends as an archive into a folder of this host, and nowhere else, whatever the archive says.

Every step is relative to a descriptor and follows no link, so neither the archive nor anybody who writes to the folder
meanwhile can lead it elsewhere. Links are made as they are said, and never followed. Devices and pipes are not made.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.reach import archive
from inferno.reach.archive import Entry, Reader, shown
from inferno.reach.bounds import STANDARD, Bounds

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RIGHTS, _STICKY, _SET_IDS = 0o777, 0o1000, 0o6000
# So many zeroes become a hole.
_HOLE = bytes(1 << 16)
Parts = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class How:
    """`owners`: as on the other side, else the caller's or root's. `follow`: the source itself may be a link.

    `set_ids`: the bits that make a program run as its owner stay: only for a guest that one trusts.
    """

    owners: bool = False
    follow: bool = False
    set_ids: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archive's one top entry, which it calls `top`, goes: into the folder open as `folder`, as `name`.

    `top` None: the entries have no name above them. `name` None: the top entry is a folder, whose content goes there.
    """

    folder: int
    top: bytes | None
    name: bytes | None

    def parts(self, name: bytes) -> Parts:
        """The path below the folder that a name of the archive stands for. Raises InfernoError for any other."""
        parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
        if name.startswith(b"/") or b".." in parts or (self.top is not None and parts[:1] != (self.top,)):
            raise InfernoError(f"the guest sent {shown(name)!r}, which was not asked for")
        below = parts if self.top is None else parts[1:]
        return below if self.name is None else (self.name, *below)


class Tree:
    """What is being unpacked."""

    def __init__(self, place: Place, how: How) -> None:
        self._place = place
        self._how = how
        self._made: list[tuple[Parts, Entry]] = []  # folders, whose times change until all is in them
        self._parent: tuple[Parts, int] = ((), os.dup(place.folder))
        self.skipped: list[str] = []

    def add(self, entry: Entry, read: Callable[[int], bytes]) -> None:
        """One entry; `read` gives its bytes. Raises InfernoError, OSError."""
        parts = self._place.parts(entry.name)
        if entry.kind in (archive.CHAR, archive.BLOCK_DEVICE, archive.FIFO):
            self.skipped.append(entry.shown())
            return
        if not parts:
            if entry.kind != archive.DIRECTORY:
                raise InfernoError(f"the guest sent {entry.shown()!r} as something else than a folder")
            return  # the folder that is there
        parent, name = self._open(parts[:-1]), parts[-1]
        if entry.kind == archive.DIRECTORY:
            self._make_folder(parts, entry, parent)
            return
        _make_room(name, parent, entry)
        if entry.kind == archive.FILE:
            self._write_file(name, entry, parent, read)
        elif entry.kind == archive.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            if self._how.owners:
                os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        else:
            self._link(name, entry, parent)

    def finish(self) -> None:
        """The folders' own rights and times, the deepest first. Raises OSError."""
        for parts, entry in reversed(self._made):
            self._dress(self._open(parts), entry)

    def close(self) -> None:
        os.close(self._parent[1])

    def _open(self, parts: Parts) -> int:
        """The folder's descriptor, which stays open until another's is asked for."""
        known, descriptor = self._parent
        if parts == known:
            return descriptor
        if parts[:-1] == known:
            opened = _step(parts[-1], descriptor)
        else:
            opened = os.dup(self._place.folder)
            for part in parts:
                above = opened
                try:
                    opened = _step(part, above)
                finally:
                    os.close(above)
        os.close(descriptor)
        self._parent = (parts, opened)
        return opened

    def _make_folder(self, parts: Parts, entry: Entry, parent: int) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(parts[-1], 0o700, dir_fd=parent)
            self._made.append((parts, entry))
        self._open(parts)  # what was there before may be a link

    def _write_file(self, name: bytes, entry: Entry, parent: int, read: Callable[[int], bytes]) -> None:
        file = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            while data := _block(read):
                if data == _HOLE:
                    os.lseek(file, len(data), os.SEEK_CUR)
                else:
                    files.write_all(file, data)
            os.ftruncate(file, entry.size)  # a hole at the end is not yet a part of it
            self._dress(file, entry)
        finally:
            os.close(file)

    def _link(self, name: bytes, entry: Entry, parent: int) -> None:
        """Another name of a file of the same archive's top entry."""
        target = self._place.parts(entry.link)
        if not target:
            raise InfernoError(f"the guest sent {entry.shown()!r} as another name of a folder")
        above = os.dup(parent)  # _open may close it
        try:
            os.link(target[-1], name, src_dir_fd=self._open(target[:-1]), dst_dir_fd=above, follow_symlinks=False)
        finally:
            os.close(above)

    def _dress(self, descriptor: int, entry: Entry) -> None:
        """Owner first: a change of it takes set-user-id away. That is kept only with the owner it was meant for."""
        if self._how.owners:
            os.fchown(descriptor, entry.uid, entry.gid)
        bits = _RIGHTS | (_STICKY if self._how.owners else 0) | (_SET_IDS if self._how.set_ids else 0)
        os.fchmod(descriptor, entry.mode & bits)
        os.utime(descriptor, (entry.mtime, entry.mtime))


def unpack(source: Callable[[int], bytes], place: Place, how: How, bounds: Bounds = STANDARD) -> list[str]:
    """Unpack all of an archive; return the names of what is not made here: devices and pipes.

    Raises InfernoError for an archive that is none, not of what was asked for, or too much; what is written stays.
    """
    reader, tree, count = Reader(source), Tree(place, how), 0
    try:
        while entry := reader.next():
            count += 1
            bounds.check(count, entry.size)
            try:
                tree.add(entry, reader.read)
            except OSError as error:
                raise InfernoError(f"{entry.shown()}: {error.strerror}") from None
        tree.finish()
    finally:
        tree.close()
    return tree.skipped


def pour(source: Callable[[int], bytes], top: bytes | None, descriptor: int, bounds: Bounds = STANDARD) -> None:
    """The bytes of the one file that the archive must be, called `top`, to a descriptor.

    Raises InfernoError, BrokenPipeError when nobody reads them.
    """
    reader = Reader(source)
    entry = reader.next()
    if entry is None or entry.kind != archive.FILE or entry.name != top:
        raise InfernoError("the guest sent something else than the file that was asked for")
    bounds.check(1, entry.size)
    try:
        while data := reader.read(1 << 16):
            files.write_all(descriptor, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InfernoError(f"{entry.shown()}: {error.strerror}") from None
    if reader.next() is not None:
        raise InfernoError("the guest sent more than the file that was asked for")


def _block(read: Callable[[int], bytes]) -> bytes:
    """As much as may be a hole, less only at the end."""
    data = read(len(_HOLE))
    while 0 < len(data) < len(_HOLE) and (more := read(len(_HOLE) - len(data))):
        data += more
    return data


def _step(part: bytes, above: int) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise InfernoError(f"{shown(part)} is a link or a file where the copy needs a folder") from None
        raise


def _make_room(name: bytes, parent: int, entry: Entry) -> None:
    """Take away what has the name; never a folder."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        raise InfernoError(f"{entry.shown()}: a folder is in the way") from None
