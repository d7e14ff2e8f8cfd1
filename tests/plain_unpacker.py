"""A plain unpacker for stacks of layers: one that lets the kernel find its way, in a chroot.

It knows nothing of the code under test. What no unpacker could place (below a file of the same layer, a hard link to
nothing) it leaves out of the layers as well, so that what is left is a stack that everybody can unpack.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.images import Member, directory
from tests.random_stacks import OPAQUE


class Laid(NamedTuple):
    """What the unpacker found out about a layer, by its members' numbers.

    `kept` are those that have a place, in their order. Of these `links` are notes of opaque folders where there is a
    link instead, and `missing` whiteouts in no folder. `whiteouts` are all, so that none hides what is on the way of a
    later one; None where there is no such order. `room` are folders (path, mode, group) that were made in the place of
    something of the layers below, for the member. When the layer is unpacked, `replaced` are folders that are gone, and
    whose path does not lead to another; `astray` are those that are there, whose path leads to a file.
    """

    kept: list[int]
    links: list[int]
    missing: list[int]
    whiteouts: list[int] | None
    room: list[tuple[int, str, int, int]]
    replaced: list[int]
    astray: list[int]


class Placed(NamedTuple):
    """A stack without what cannot be placed, and the same as those need it who act on each member as they come to it.

    `others` is None where there is no such stack; `for_docker` has no whiteouts in no folder, and no folders that their
    own layer replaces. It is None as well where a file would get the time of a folder.
    """

    stack: list[list[Member]]
    others: list[list[Member]] | None
    for_docker: list[list[Member]] | None


def unpack(root: Path, stack: Sequence[Sequence[Member]]) -> Placed:
    """Unpack the stack into the empty folder `root`. Needs root."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException), os.fdopen(writer, "w") as out:
            os.chroot(root)
            os.chdir("/")
            os.umask(0o022)
            json.dump([_unpack_layer(layer) for layer in stack], out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        laid = [Laid(*known) for known in json.loads(said.read())]
    os.waitpid(child, 0)
    pairs = [*zip(stack, laid, strict=True)]
    kept = [[layer[number] for number in known.kept] for layer, known in pairs]
    if any(known.whiteouts is None for known in laid):
        return Placed(kept, None, None)
    others = [_for_others(layer, known, set(known.links)) for layer, known in pairs]
    unfit = [{*known.links, *known.missing, *known.replaced} for known in laid]
    if any(known.astray for known in laid):
        return Placed(kept, others, None)
    return Placed(kept, others, [_for_others(*pair, without) for pair, without in zip(pairs, unfit, strict=True)])


def _for_others(layer: Sequence[Member], known: Laid, without: set[int]) -> list[Member]:
    """Whiteouts first; and a folder before the member that needs it where something else was."""
    found = [layer[number] for number in known.whiteouts or () if number not in without]
    for number in known.kept:
        if number not in (known.whiteouts or ()) and number not in without:
            room = [each for each in known.room if each[0] == number]
            found += [directory(path, mode, gid=gid, mtime=0) for _, path, mode, gid in room]
            found.append(layer[number])
    return found


_BEFORE = "/.before"  # the layers below, while a layer is unpacked


def _unpack_layer(layer: Sequence[Member]) -> Laid:
    """All whiteouts are looked at before any is acted on."""
    hidden: list[str] = []
    links, missing = [], []
    whiteouts: dict[int, tuple[list[str], list[str]]] = {}
    for number, member in enumerate(layer):
        head, _, base = member.name.strip("/").rpartition("/")
        if base.startswith(".wh."):
            found = _hidden(f"/{head}", base)
            whiteouts[number] = _way(f"/{head}"), found
            hidden += found
            there = _real(f"/{head}")
            if base == OPAQUE and os.path.islink(there):
                links.append(number)
            elif not os.path.isdir(os.path.realpath(there)):
                missing.append(number)
    with _times_of("/"):
        _link_all("/", _BEFORE)
    for path in hidden:
        if os.path.lexists(path):
            with _times_of(os.path.dirname(path)):
                _remove(path)
    kept, room = [*whiteouts], []
    fresh: set[str] = set()
    folders = {}
    for number, member in enumerate(layer):
        if number not in whiteouts:
            with contextlib.suppress(OSError):
                at, made = _place(member, fresh)
                room += [(number, *each) for each in made]
                kept.append(number)
                if member.kind == tarfile.DIRTYPE:
                    folders[number] = at
    with _times_of("/"):
        shutil.rmtree(_BEFORE)
    left = [number for number in folders if not os.path.isdir(_path(layer[number]))]
    replaced = [number for number in left if not _is_folder(folders[number])]
    astray = [number for number in left if _is_folder(folders[number]) and os.path.exists(_path(layer[number]))]
    return Laid(sorted(kept), links, missing, _in_order(whiteouts), room, replaced, astray)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _in_order(whiteouts: dict[int, tuple[list[str], list[str]]]) -> list[int] | None:
    """Numbers of whiteouts, of which each has a way and what it hides."""
    left, found = [*whiteouts], []
    while left:
        ways = {number: {path for other in left if other != number for path in whiteouts[other][0]} for number in left}
        free = [number for number in left if ways[number].isdisjoint(whiteouts[number][1])]
        if not free:
            return None
        found.append(free[0])
        left.remove(free[0])
    return found


def _way(folder: str) -> list[str]:
    """Whatever is looked at on the way to a folder, links included."""
    there, left = "/", folder.strip("/").split("/")[::-1]
    found: list[str] = []
    while left and len(found) < 200:
        there = os.path.normpath(os.path.join(there, left.pop()))
        found.append(there)
        if os.path.islink(there):
            left += os.readlink(there).rstrip("/").split("/")[::-1]
            there = "/" if os.readlink(there).startswith("/") else os.path.dirname(there)
    return found


def _link_all(top: str, copy: str) -> None:
    """A second tree of the same files."""
    os.mkdir(copy)
    for entry in [*os.scandir(top)]:
        if entry.path == copy:
            continue
        if entry.is_dir(follow_symlinks=False):
            _link_all(entry.path, os.path.join(copy, entry.name))
        else:
            os.link(entry.path, os.path.join(copy, entry.name), follow_symlinks=False)


def _hidden(folder: str, base: str) -> list[str]:
    """What a whiteout hides, as full paths in real folders."""
    try:
        if base == OPAQUE:
            there = _real(folder)
            names = os.listdir(there) if stat.S_ISDIR(os.lstat(there).st_mode) else []
        else:
            there, names = os.path.realpath(folder), [base[4:]]
            os.lstat(os.path.join(there, base[4:]))
    except OSError:
        return []
    return [os.path.join(there, name) for name in names]


def _real(path: str) -> str:
    """The path, whose last part may be a link, in a real folder: `..` after what is not there leads back, unlike to the
    kernel, but as to those who find their way in an archive."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) if path != "/" else "/"


@contextlib.contextmanager
def _times_of(folder: str) -> Iterator[None]:
    """A folder keeps its times: no layer says otherwise."""
    before = os.stat(folder)
    try:
        yield
    finally:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _place(member: Member, fresh: set[str]) -> tuple[str, list[tuple[str, int, int]]]:
    """Return its real path, and the folders for which something made room. `fresh` are the real paths of what the layer
    has placed.

    Raises OSError, before anything is changed, for what has no place.
    """
    path = _path(member)
    if path == "/":
        _describe(member, path)
        return path, []
    target = _target(member) if member.kind == tarfile.LNKTYPE else ""
    with _held(target):
        return _place_at(path, member, target, fresh)


_HELD = "/.held"


@contextlib.contextmanager
def _held(target: str) -> Iterator[None]:
    """What is linked to may be in the way."""
    with _times_of("/"):
        if target:
            os.link(target, _HELD, follow_symlinks=False)
    try:
        yield
    finally:
        with _times_of("/"):
            if target:
                os.unlink(_HELD)


def _place_at(path: str, member: Member, target: str, fresh: set[str]) -> tuple[str, list[tuple[str, int, int]]]:
    parent, room = _folder(os.path.dirname(path), fresh)
    path = os.path.join(parent, os.path.basename(path))
    is_kept = member.kind == tarfile.DIRTYPE and _is_folder(path)
    if target and (f"{target}/".startswith(f"{path}/") or _is_same(path)):
        raise FileExistsError  # a link to itself, or over the folder that it is in: some refuse it
    with _times_of(parent):
        if not is_kept and os.path.lexists(path):
            _remove(path)
        if not is_kept:
            _make(member, path)
    fresh.add(path)
    _describe(member, path)
    return path, room


def _is_same(path: str) -> bool:
    return os.path.lexists(path) and os.path.samestat(os.lstat(path), os.lstat(_HELD))


def _folder(path: str, fresh: set[str]) -> tuple[str, list[tuple[str, int, int]]]:
    """Where a path of folders and links leads, and what is no longer in its way; what is missing is made, of 1970."""
    there, room = "/", []
    for name in path.strip("/").split("/") if path != "/" else ():
        at = os.path.join(there, name)
        there = real = os.path.realpath(at)
        while not os.path.lexists(real):
            real = os.path.dirname(real)
        if not stat.S_ISDIR(os.lstat(real).st_mode):
            if at in fresh:
                raise NotADirectoryError
            with _times_of(os.path.dirname(at)):
                os.unlink(at)
            there = at
            _make_folders(at, fresh)
            known = os.lstat(at)
            room.append((at, stat.S_IMODE(known.st_mode), known.st_gid))
        _make_folders(there, fresh)
    return there, room


def _make_folders(path: str, fresh: set[str]) -> None:
    made = "/"
    for name in path.strip("/").split("/"):
        before, made = made, os.path.join(made, name)
        if not os.path.lexists(made):
            with _times_of(before):
                os.mkdir(made, 0o755)
            os.utime(made, (0, 0))
            fresh.add(made)


def _path(member: Member) -> str:
    return os.path.normpath("/" + member.name.lstrip("/"))


def _target(member: Member) -> str:
    link = "/" + member.link.strip("/")
    parent = os.path.realpath(os.path.dirname(link))
    whole = os.path.join(parent, os.path.basename(link))
    if not os.path.lexists(whole) or stat.S_ISDIR(os.lstat(whole).st_mode):
        with contextlib.suppress(OSError):
            return _target_before(whole)
        return _target_before(link)
    return whole


def _target_before(path: str) -> str:
    """Where a path leads in the layers below."""
    top = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.chroot(_BEFORE)
    try:
        parent = os.path.realpath(os.path.dirname(path))
    finally:
        os.fchdir(top)
        os.chroot(".")
        os.close(top)
    whole = f"{_BEFORE}{parent.rstrip('/')}/{os.path.basename(path)}"
    if stat.S_ISDIR(os.lstat(whole).st_mode):
        raise IsADirectoryError
    return whole


def _make(member: Member, path: str) -> None:
    match member.kind:
        case tarfile.DIRTYPE:
            os.mkdir(path)
        case tarfile.SYMTYPE:
            os.symlink(os.fsencode(member.link), os.fsencode(path))
        case tarfile.LNKTYPE:
            os.link(_HELD, path, follow_symlinks=False)
        case tarfile.FIFOTYPE:
            os.mkfifo(path)
        case tarfile.CHRTYPE:
            os.mknod(path, stat.S_IFCHR, os.makedev(*member.device))
        case _:
            Path(path).write_bytes(member.data)


def _describe(member: Member, path: str) -> None:
    if member.kind == tarfile.LNKTYPE:
        return
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if member.kind != tarfile.SYMTYPE:
        os.chmod(path, member.mode)
        for name in os.listxattr(path, follow_symlinks=False):
            os.removexattr(path, name)
    for key, value in member.pax.items():
        if key.startswith("SCHILY.xattr."):
            os.setxattr(path, key.removeprefix("SCHILY.xattr."), value.encode(errors="surrogateescape"))
    at = nanoseconds(member.pax.get("mtime", str(member.mtime)))
    os.utime(path, ns=(at, at), follow_symlinks=False)


def nanoseconds(text: str) -> int:
    whole, _, fraction = text.removeprefix("-").partition(".")
    found = int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    return -found if text.startswith("-") else found


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
