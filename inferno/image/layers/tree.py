"""Settles an image's layers into one file system, in memory: whiteouts, replaced entries, links, symlinked parents.

Rules: the OCI image spec, "Image Layer Filesystem Changeset". Names are resolved as a chrooted unpacker would: through
the image's own symlinks, an absolute one from the image's root, and `..` no higher than that. The last part of a path
is never followed, neither that of an entry nor of what a whiteout hides nor of an opaque directory.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator

from inferno.image.layers import limits
from inferno.image.layers.entry import DIRECTORY, FILE, HARD_LINK, SYMLINK, BadImageError, Entry, directory, shown

_WHITEOUT = b".wh."
_META = b".wh..wh."  # AUFS's own notes; all but the one for an opaque directory mean nothing here
_OPAQUE = b".wh..wh..opq"
_MAX_SYMLINKS = 40  # MAXSYMLINKS, include/linux/namei.h


class Tree:
    """The file system so far. `max_entries` and `max_bytes` bound it: a small layer may describe a huge one."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.root = directory()
        # What the layer in hand has hidden, by the directory that it was in (which is kept, so that its id is its own).
        self._gone: dict[int, tuple[Entry, dict[bytes, Entry]]] = {}
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
        for parent, name in hidden:
            self._hide(parent, name)
        for entry in placed:
            self._place(entry)
        self._gone.clear()

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
            parent = self._walk(names, create=False)
            return [(parent, name)] if parent and name in (parent.children or ()) else []
        opaque: Entry | None = self.root
        if names:
            parent = self._walk(names[:-1], create=False)
            opaque = (parent.children or {}).get(names[-1]) if parent else None
        return [(opaque, None)] if opaque and opaque.children else []

    def _hide(self, parent: Entry, name: bytes | None) -> None:
        """Take one out of a directory, or all. A hard link of the same layer may still mean it."""
        children = parent.children or {}
        _, gone = self._gone.setdefault(id(parent), (parent, {}))
        for each in [*children] if name is None else [name]:
            if each in children:
                gone[each] = children.pop(each)

    def _place(self, entry: Entry) -> None:
        names = _names(entry)
        if not names:
            if entry.kind == DIRECTORY:
                _take_over(self.root, entry)
                return
            raise BadImageError("the image's root is not a directory")
        # Before its own folders are made: they may be where the target was.
        target = self._target(entry) if entry.kind == HARD_LINK else entry
        parent = self._walk(names[:-1], create=True)
        if parent is None or parent.children is None:
            raise BadImageError(f"{shown(entry.name)} lies below something that is not a directory")
        there = parent.children.get(names[-1])
        if there is not None and there.kind == entry.kind == DIRECTORY:
            _take_over(there, entry)
        else:
            parent.children[names[-1]] = target

    def _target(self, entry: Entry) -> Entry:
        """What a hard link points to: the very thing, also when that is a symlink.

        The layer may hide it too: it is what is left of a file with several names, whose other one was removed.
        """
        names = _names(entry, entry.link)
        parent = self._walk(names[:-1], create=False, gone=True) if names else None
        target = self._child(parent, names[-1], gone=True) if parent else None
        if target is None or target.kind == DIRECTORY:
            what = "a directory" if target else "what is not there"
            raise BadImageError(f"{shown(entry.name)} is a hard link to {what}: {shown(entry.link)}")
        return target

    def _child(self, parent: Entry, name: bytes, *, gone: bool) -> Entry | None:
        """What a directory holds by a name, or with `gone` held before this layer hid it."""
        found = parent.children.get(name) if parent.children else None
        if found is None and gone and id(parent) in self._gone:
            return self._gone[id(parent)][1].get(name)
        return found

    def _walk(self, names: list[bytes], *, create: bool, gone: bool = False) -> Entry | None:
        """The entry that a path of directories leads to; None when it leads nowhere.

        With `create` what is missing on the way is made, as unpackers do; with `gone` what the layer hid counts.
        Raises BadImageError with `create` for a loop of symlinks.
        """
        trail = [self.root]
        left = names[::-1]
        hops = 0
        while left:
            name = left.pop()
            here = trail[-1]
            if here.children is None:
                return None
            if name == b"..":
                if len(trail) > 1:
                    trail.pop()
                continue
            found = self._child(here, name, gone=gone)
            if found is None:
                if not create:
                    return None
                found = here.children[name] = _made_in(here)
            if found.kind == SYMLINK:
                hops += 1
                if hops > _MAX_SYMLINKS:
                    _refuse_loop(names, create)
                    return None
                if found.link.startswith(b"/"):
                    trail = [self.root]
                left += [part for part in reversed(found.link.split(b"/")) if part not in (b"", b".")]
            else:
                trail.append(found)
        return trail[-1]

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


def _refuse_loop(names: list[bytes], create: bool) -> None:
    """A loop of symlinks leads nowhere, and nothing can be made there."""
    if create:
        raise BadImageError(f"{shown(b'/'.join(names))}: more than {_MAX_SYMLINKS} symlinks on the way")


def _names(entry: Entry, path: bytes | None = None) -> list[bytes]:
    """The parts of a path of the layer's, cleaned as a text, as Docker does it. One that leads upwards is an attack."""
    text = entry.name if path is None else path
    names = [name for name in text.split(b"/") if name not in (b"", b".")]
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
