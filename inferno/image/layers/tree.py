"""Settles an image's layers into one file system, in memory: whiteouts, replaced entries, links, symlinked parents.

Rules: the OCI image spec, "Image Layer Filesystem Changeset". Names are resolved as a chrooted unpacker would: through
the image's own symlinks, an absolute one from the image's root, and `..` no higher than that. The last part of a path
is never followed, neither that of an entry nor of what a whiteout hides nor of an opaque directory.
"""

from __future__ import annotations

import bisect
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inferno.image.layers import limits
from inferno.image.layers.entry import DIRECTORY, FILE, HARD_LINK, SYMLINK, BadImageError, Entry, directory, shown

_WHITEOUT = b".wh."
_META = b".wh..wh."  # AUFS's own notes; all but the one for an opaque directory mean nothing here
_OPAQUE = b".wh..wh..opq"
_MAX_SYMLINKS = 40  # MAXSYMLINKS, include/linux/namei.h


class _Way(NamedTuple):
    """What is on the way of a path, from the root on, without symlinks; their names; and those behind that are missing.

    What is behind a file is missing too.
    """

    entries: list[Entry]
    names: list[bytes]
    missing: list[bytes]

    def go_up(self) -> None:
        if self.missing:
            self.missing.pop()
        elif self.names:
            self.names.pop()
            self.entries.pop()


class Tree:
    """The file system so far. `max_entries` and `max_bytes` bound it: a small layer may describe a huge one."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.root = directory()
        # What the layers below the one in hand have where it changed something: directory -> name -> entry, None where
        # there was none. The directory is kept beside, so that its id is its own. None as long as nothing is below.
        self._before: dict[int, tuple[Entry, dict[bytes, Entry | None]]] | None = None
        self._entries = 0
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._bytes = 0

    def apply(self, entries: Iterable[Entry]) -> None:
        """Lay one layer's entries over what there is.

        Its whiteouts come first, wherever they stand: they concern the layers below, as those are, and never their own.
        Raises BadImageError for what no unpacker could place.
        """
        placed: list[Entry] = []
        hidden: list[tuple[Entry, bytes | None]] = []
        for entry in entries:
            self._count(entry)
            base = entry.name.rstrip(b"/").rpartition(b"/")[2]
            if base.startswith(_WHITEOUT):
                hidden += self._hidden(entry, base)
            else:
                placed.append(entry)
        self._before = {} if self.root.children else None
        for parent, name in hidden:
            for each in [*(parent.children or ())] if name is None else [name]:
                self._change(parent, each, None)
        for entry in placed:
            self._place(entry)
        self._before = None

    def _count(self, entry: Entry) -> None:
        self._entries += 1
        self._bytes += entry.size
        if self._entries > self._max_entries:
            raise BadImageError(f"the image has more than {self._max_entries} entries (INFERNO_IMAGE_MAX_ENTRIES)")
        if self._bytes > self._max_bytes:
            raise BadImageError(f"the image is larger than {self._max_bytes >> 20} MiB (INFERNO_IMAGE_MAX_MB)")

    def _hidden(self, entry: Entry, base: bytes) -> list[tuple[Entry, bytes | None]]:
        """What a whiteout hides, if that is there: a directory, and a name in it, or None for all of them."""
        name = base[len(_WHITEOUT) :]
        if base != _OPAQUE and base.startswith(_META):
            return []
        if name in (b"", b".", b".."):
            raise BadImageError(f"{shown(entry.name)}: a whiteout of no name")
        names = _names(entry)[:-1]
        if base != _OPAQUE:
            parent = self._existing(names)
            return [(parent, name)] if parent and name in (parent.children or ()) else []
        opaque: Entry | None = self.root
        if names:
            parent = self._existing(names[:-1])
            opaque = (parent.children or {}).get(names[-1]) if parent else None
        return [(opaque, None)] if opaque and opaque.children else []

    def _place(self, entry: Entry) -> None:
        names = _names(entry)
        if not names:
            if entry.kind == DIRECTORY:
                _take_over(self.root, entry)
                return
            raise BadImageError("the image's root is not a directory")
        # Before its own folders are made: they may be where the target was.
        target = self._target(entry) if entry.kind == HARD_LINK else entry
        parent = self._folder(entry, names[:-1])
        there = self._child(parent, names[-1])
        if there is not None and there.kind == entry.kind == DIRECTORY:
            _take_over(there, entry)
        else:
            self._change(parent, names[-1], target)

    def _target(self, entry: Entry) -> Entry:
        """What a hard link points to: the very thing, also when that is a symlink.

        Where nothing is any more to link to, it is what the layers below have by that path, or by the one to which its
        links now lead: the hard link is what is left of a file with several names, whose other one this layer hides or
        replaces, or a folder on the way to it.
        """
        names = _names(entry, entry.link)
        found = self._at(names)
        if found is None or found.kind == DIRECTORY:
            way = self._follow(names[:-1])
            real = [*way.names, *way.missing, *names[-1:]] if way else names
            below = (self._at(path, before=True) for path in (real, names))
            found = next((each for each in below if each and each.kind != DIRECTORY), found)
        if found is None or found.kind == DIRECTORY:
            what = "a directory" if found else "what is not there"
            raise BadImageError(f"{shown(entry.name)} is a hard link to {what}: {shown(entry.link)}")
        return found

    def _folder(self, entry: Entry, names: list[bytes]) -> Entry:
        """The directory of an entry; what is missing on the way is made, as unpackers do.

        What is in the way, and no directory, makes room where it is of the layers below: one that unpacks each layer by
        itself, as Docker's overlay2, does not see it. Raises BadImageError where it is of the same layer.
        """
        while (way := self._follow(names)) is None or way.entries[-1].children is None:
            self._make_room(entry, names)
        folder = way.entries[-1]
        for name in way.missing:
            made = _made_in(folder)
            self._change(folder, name, made)
            folder = made
        return folder

    def _make_room(self, entry: Entry, names: list[bytes]) -> None:
        """Put a directory where a path first leads to a file, or to nowhere in a loop of symlinks."""

        def is_blocked(count: int) -> bool:
            way = self._follow(names[:count])
            return way is None or way.entries[-1].children is None

        counts = range(1, len(names) + 1)
        count = counts[bisect.bisect_left(counts, True, key=is_blocked)]
        parent, name = self._existing(names[: count - 1]), names[count - 1]
        if parent is None or self._before is None or name in self._before.get(id(parent), (parent, {}))[1]:
            what = shown(b"/".join(names[:count]))
            raise BadImageError(f"{shown(entry.name)} lies below {what}, which is not a directory")
        self._change(parent, name, _made_in(parent))

    def _change(self, parent: Entry, name: bytes, entry: Entry | None) -> None:
        """Put an entry into a directory, or take one out of it with None."""
        children = parent.children
        assert children is not None
        if self._before is not None:
            known = self._before.get(id(parent))
            if known is None:
                known = self._before[id(parent)] = (parent, {})
            known[1].setdefault(name, children.get(name))
        if entry is None:
            children.pop(name, None)
        else:
            children[name] = entry

    def _child(self, folder: Entry, name: bytes, *, before: bool = False) -> Entry | None:
        """What a directory has by a name; `before` the layer in hand."""
        if before:
            _, changed = (self._before or {}).get(id(folder), (folder, {}))
            if name in changed:
                return changed[name]
        return folder.children.get(name) if folder.children else None

    def _existing(self, names: list[bytes], *, before: bool = False) -> Entry | None:
        """What is where a path leads; None where that is nowhere."""
        way = self._follow(names, before=before)
        return way.entries[-1] if way and not way.missing else None

    def _at(self, names: list[bytes], *, before: bool = False) -> Entry | None:
        """What has a path; the last part of it is not followed."""
        if not names:
            return self.root
        parent = self._existing(names[:-1], before=before)
        return self._child(parent, names[-1], before=before) if parent else None

    def _follow(self, names: list[bytes], *, before: bool = False) -> _Way | None:
        """Where a path leads, through symlinks; None for a loop of them.

        Over what is missing `..` leads as a text, for entries and whiteouts alike. `before` looks at the layers below
        the one in hand.
        """
        way = _Way([self.root], [], [])
        left = names[::-1]
        hops = 0
        while left:
            name = left.pop()
            if name == b"..":
                way.go_up()
                continue
            found = None if way.missing else self._child(way.entries[-1], name, before=before)
            if found is None:
                way.missing.append(name)
            elif found.kind == SYMLINK:
                hops += 1
                if hops > _MAX_SYMLINKS:
                    return None
                if found.link.startswith(b"/"):
                    way = _Way([self.root], [], [])
                left += _parts(found.link)[::-1]
            else:
                way.entries.append(found)
                way.names.append(name)
        return way

    def walk(self) -> Iterator[tuple[bytes, Entry]]:
        """All paths (relative, the root is empty) with their entries, sorted; a directory comes before its content.

        A file with several names comes as often, as the same object.
        """
        stack: list[tuple[bytes, Entry]] = [(b"", self.root)]
        while stack:
            path, entry = stack.pop()
            yield path, entry
            if entry.children:
                lead = path + b"/" if path else b""
                stack += [(lead + name, entry.children[name]) for name in sorted(entry.children, reverse=True)]


def _made_in(folder: Entry) -> Entry:
    """A directory that no layer describes. As mkdir(2) has it, one in a set-gid directory is of the same group."""
    made = directory(0o755 | folder.mode & stat.S_ISGID)
    made.gid = folder.gid if folder.mode & stat.S_ISGID else 0
    return made


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def _names(entry: Entry, path: bytes | None = None) -> list[bytes]:
    """The parts of a path of the layer's, cleaned as a text, as Docker does it. One that leads upwards is an attack."""
    text = entry.name if path is None else path
    names = _parts(text)
    if b".." not in names:
        return names
    cleaned: list[bytes] = []
    for name in names:
        if name != b"..":
            cleaned.append(name)
        elif cleaned:
            cleaned.pop()
        elif not text.startswith(b"/"):
            raise BadImageError(f"{shown(text)}: a path in a layer leads upwards")
    return cleaned


def _take_over(there: Entry, entry: Entry) -> None:
    """A directory over a directory: the content stays, all else is the new one's."""
    there.mode, there.uid, there.gid = entry.mode, entry.uid, entry.gid
    there.mtime_ns, there.xattrs, there.lost = entry.mtime_ns, entry.xattrs, entry.lost


def finish(tree: Tree, left_out: limits.LeftOut, block_bytes: int) -> tuple[int, int]:
    """Take out what no guest could have, and tell `left_out` of all that was lost.

    Returns the bytes of all files, each counted once; and how many zeros lie on a disk of such blocks: holes, and the
    rest of each file's last block.
    """
    seen: set[int] = set()
    total = zeros = 0
    _tell(left_out, b"", tree.root)
    folders: list[tuple[bytes, Entry]] = [(b"", tree.root)]
    while folders:
        lead, folder = folders.pop()
        children = folder.children or {}
        for name, entry in [*children.items()]:
            if (why := limits.impossible(entry) or _unnameable(lead, name)) is not None:
                del children[name]
                if why:
                    left_out.add(why, shown(lead + name))
                continue
            if entry.children is not None:
                folders.append((b"%b%b/" % (lead, name), entry))
            elif id(entry) in seen:
                continue
            elif entry.kind == FILE:
                total += entry.size
                zeros += -entry.size % block_bytes
                if entry.chunks is not None:
                    zeros += entry.size - sum(size for _, size, _ in entry.chunks)
            seen.add(id(entry))
            if entry.lost:
                _tell(left_out, lead + name, entry)
    return total, zeros


def _unnameable(lead: bytes, name: bytes) -> str | None:
    """Why nothing can have that name, in words that may be empty: AUFS's notes are left out without any."""
    if name.startswith(_WHITEOUT):
        return "" if name.startswith(_META) else limits.NAME
    too_long = len(name) > limits.MAX_NAME_BYTES or len(lead) + len(name) > limits.MAX_PATH_BYTES
    return limits.NAME if too_long else None


def _tell(left_out: limits.LeftOut, path: bytes, entry: Entry) -> None:
    for kind, (count, what) in (entry.lost or {}).items():
        place = shown(path) or "/"
        left_out.add(kind, f"{place}: {shown(what)}" if what else place, count)
