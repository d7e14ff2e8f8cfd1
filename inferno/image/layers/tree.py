"""Settles an image's layers into one file system, in memory: whiteouts, replaced entries, links, symlinked parents.

Rules: the OCI image spec, "Image Layer Filesystem Changeset". Names are resolved as a chrooted unpacker would: through
the image's own symlinks, an absolute one from the image's root, and `..` no higher than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferno.image.layers.entry import DIRECTORY, FILE, HARD_LINK, SYMLINK, BadImageError, Entry, directory, shown

_WHITEOUT = b".wh."
_META = b".wh..wh."  # AUFS's own notes; all but the one for an opaque directory mean nothing here
_OPAQUE = b".wh..wh..opq"
_MAX_NAME_BYTES = 255  # NAME_MAX, include/uapi/linux/limits.h
_MAX_SYMLINKS = 40  # MAXSYMLINKS, include/linux/namei.h
_MAX_DEPTH = 2048  # PATH_MAX has room for no more names


class Tree:
    """The file system so far. `max_entries` and `max_bytes` bound it: a small layer may describe a huge one."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.root = directory()
        self._entries = 0
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._bytes = 0

    def apply(self, entries: Iterable[Entry]) -> None:
        """Lay one layer's entries over what there is.

        Its whiteouts come first, wherever they stand: they concern the layers below, never their own.
        Raises BadImageError for what no unpacker could place.
        """
        placed: list[Entry] = []
        for entry in entries:
            self._count(entry)
            base = entry.name.rstrip(b"/").rpartition(b"/")[2]
            if base.startswith(_WHITEOUT):
                self._white_out(entry, base)
            else:
                placed.append(entry)
        for entry in placed:
            self._place(entry)

    def _count(self, entry: Entry) -> None:
        self._entries += 1
        self._bytes += entry.size
        if self._entries > self._max_entries:
            raise BadImageError(f"the image has more than {self._max_entries} entries (INFERNO_IMAGE_MAX_ENTRIES)")
        if self._bytes > self._max_bytes:
            raise BadImageError(f"the image is larger than {self._max_bytes >> 20} MiB (INFERNO_IMAGE_MAX_MB)")

    def _white_out(self, entry: Entry, base: bytes) -> None:
        hidden = base[len(_WHITEOUT) :]
        if base != _OPAQUE and base.startswith(_META):
            return
        if hidden in (b"", b".", b".."):
            raise BadImageError(f"{shown(entry.name)}: a whiteout of no name")
        parent = self._walk(_names(entry)[:-1], create=False)
        if parent is None or parent.children is None:
            return
        if base == _OPAQUE:
            parent.children.clear()
        else:
            parent.children.pop(hidden, None)

    def _place(self, entry: Entry) -> None:
        names = _names(entry)
        if not names:
            if entry.kind == DIRECTORY:
                _take_over(self.root, entry)
                return
            raise BadImageError("the image's root is not a directory")
        parent = self._walk(names[:-1], create=True)
        if parent is None or parent.children is None:
            raise BadImageError(f"{shown(entry.name)} lies below something that is not a directory")
        there = parent.children.get(names[-1])
        if entry.kind == HARD_LINK:
            parent.children[names[-1]] = self._target(entry)
        elif there is not None and there.kind == entry.kind == DIRECTORY:
            _take_over(there, entry)
        else:
            parent.children[names[-1]] = entry

    def _target(self, entry: Entry) -> Entry:
        """What a hard link points to: the very thing, also when that is a symlink."""
        names = _names(entry, entry.link)
        parent = self._walk(names[:-1], create=False) if names else None
        target = (parent.children or {}).get(names[-1]) if parent else None
        if target is None or target.kind == DIRECTORY:
            what = "a directory" if target else "what is not there"
            raise BadImageError(f"{shown(entry.name)} is a hard link to {what}: {shown(entry.link)}")
        return target

    def _walk(self, names: list[bytes], *, create: bool) -> Entry | None:
        """The entry that a path of directories leads to; None when it leads nowhere.

        With `create` what is missing on the way is made, as unpackers do.
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
            found = here.children.get(name)
            if found is None:
                if not create:
                    return None
                found = here.children[name] = directory()
            if found.kind == SYMLINK:
                hops += 1
                if hops > _MAX_SYMLINKS:
                    raise BadImageError(f"{shown(b'/'.join(names))}: more than {_MAX_SYMLINKS} symlinks on the way")
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


def _names(entry: Entry, path: bytes | None = None) -> list[bytes]:
    """The parts of a path of the layer's. `..` has no place in one: it is an attack, and refused."""
    text = entry.name if path is None else path
    names = [name for name in text.split(b"/") if name not in (b"", b".")]
    if b".." in names:
        raise BadImageError(f"{shown(text)}: a path in a layer leads upwards")
    if len(names) > _MAX_DEPTH or any(len(name) > _MAX_NAME_BYTES for name in names):
        raise BadImageError(f"{shown(text)}: a name of more than {_MAX_NAME_BYTES} bytes, or too many of them")
    return names


def _take_over(there: Entry, entry: Entry) -> None:
    """A directory over a directory: the content stays, all else is the new one's."""
    there.mode, there.uid, there.gid = entry.mode, entry.uid, entry.gid
    there.mtime_ns, there.xattrs = entry.mtime_ns, entry.xattrs


def measure(tree: Tree, block_bytes: int) -> tuple[int, int]:
    """Bytes of all files, each counted once; and how many zeros lie on a disk of such blocks: holes, and the rest of
    each file's last block."""
    seen: set[int] = set()
    total = zeros = 0
    for _, entry in tree.walk():
        if entry.kind == FILE and id(entry) not in seen:
            seen.add(id(entry))
            total += entry.size
            zeros += -entry.size % block_bytes
            if entry.chunks is not None:
                zeros += entry.size - sum(size for _, size, _ in entry.chunks)
    return total, zeros
