"""Stacks of layers by chance, and a plain unpacker for them: one that lets the kernel find its way, in a chroot.

Nothing here knows the code under test. What no unpacker could place (below a file, through a loop) the unpacker leaves
out of the layers as well, so that what is left is a stack that everybody can unpack.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.images import Member, directory, file, hard_link, symlink, whiteout

OPAQUE = ".wh..wh..opq"
CAPABILITY = "\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # struct vfs_cap_data, revision 2: cap_net_raw, effective
_NAMES = ["a", "b", "c", "d", "lib", "a b", "n\nl", "\udcff\udcfe", "x" * 255]
_WEIGHTS = [9, 9, 9, 5, 5, 1, 1, 1, 1]
_TARGETS = ["a", "b", "/c", "../a", "a/b", "/lib", ".", "..", "lib", "nowhere/x", "../../../../b", "/"]
_TIMES = ["1700000000", "1234567890.987654321", "1600000000.000000001", "0", "-1.5", "-86400", "-0.000000001", "1e9"]
_XATTRS = {
    "user.note": "a=b\nc", "user.big": "v" * 3000, "user.empty.not": "x", "trusted.t": "t", "security.x": "\x01\x02",
    "security.capability": CAPABILITY,
}  # fmt: skip


def layers(chance: random.Random) -> list[list[Member]]:
    """One to five layers; about one in ten of their members cannot be placed."""
    return [_layer(chance, number) for number in range(chance.randrange(1, 6))]


def for_docker(stack: Sequence[Sequence[Member]]) -> list[list[Member]]:
    """With the first of each path in a layer, since Docker refuses the others, and without hard links."""
    known = [[member for member in layer if member.kind != tarfile.LNKTYPE] for layer in stack]
    return [list({os.path.normpath("/" + each.name): each for each in layer[::-1]}.values())[::-1] for layer in known]


def _layer(chance: random.Random, number: int) -> list[Member]:
    members = [directory("./", mtime=1_500_000_000)] if number == 0 or chance.random() < 0.2 else []
    for _ in range(chance.randrange(0, 14)):
        members += _members(chance, is_first=number == 0)
    return members


def _path(chance: random.Random) -> str:
    return "/".join(chance.choices(_NAMES, _WEIGHTS, k=chance.choice([1, 1, 2, 2, 3, 4])))


def _members(chance: random.Random, *, is_first: bool) -> list[Member]:
    """One member, or several that belong together."""
    path = _path(chance)
    kind = chance.choice("dddfffflllhhpc" if is_first else "dddffflllhhpcwwwwoooORR")
    match kind:
        case "w":
            return [whiteout(path)]
        case "o":
            return [Member(f"{path}/{OPAQUE}")]
        case "O":  # what a storage driver writes for a folder that was made anew, in either order
            both = [_made(chance, "d", path), Member(f"{path}/{OPAQUE}")]
            return [*chance.sample(both, 2), _made(chance, "f", f"{path}/new")]
        case "R":  # removed and made again in one layer
            return chance.sample([whiteout(path), _made(chance, chance.choice("dfl"), path)], 2)
        case _:
            return [_made(chance, kind, path)]


def _made(chance: random.Random, kind: str, path: str) -> Member:
    known = {"uid": chance.choice([0, 7, 3_000_000_000]), "gid": chance.choice([0, 50]), "pax": _pax(chance, kind)}
    name = f"{chance.choice(['', '', '', './', '/'])}{path}"
    mode = chance.choice([0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o600])
    match kind:
        case "d":
            return directory(name, mode, **known)
        case "l":
            return symlink(name, chance.choice([*_TARGETS, path.rpartition("/")[2]]), **known)
        case "h":
            return hard_link(name, _path(chance))
        case "p":
            return Member(name, tarfile.FIFOTYPE, mode=mode, **known)
        case "c":
            return Member(name, tarfile.CHRTYPE, mode=mode, device=(1, 3), **known)
        case _:
            return file(name, str(chance.random()).encode() * chance.choice([0, 1, 1, 400]), mode, **known)


def _pax(chance: random.Random, kind: str) -> dict[str, str]:
    """A time, and now and then xattrs, which links and special files cannot have."""
    found = {"mtime": chance.choice(_TIMES[:3] if kind == "d" else _TIMES[:-1])}
    if kind in "df" and chance.random() < 0.3:
        names = chance.sample(sorted(_XATTRS), chance.randrange(1, 4))
        names = [name for name in names if kind == "f" or name != "security.capability"]
        found |= {f"SCHILY.xattr.{name}": _XATTRS[name] for name in names}
    return found


class Placed(NamedTuple):
    """A stack without what cannot be placed.

    `links` has its notes of opaque folders where there is a link instead, `missing` the whiteouts in no folder.
    """

    stack: list[list[Member]]
    links: list[Member]
    missing: list[Member]


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
        placed = json.loads(said.read())
    os.waitpid(child, 0)
    pairs = [*zip(stack, placed, strict=True)]
    kept = [[layer[number] for number in numbers] for layer, (numbers, _, _) in pairs]
    links = [layer[number] for layer, (_, numbers, _) in pairs for number in numbers]
    return Placed(kept, links, [layer[number] for layer, (_, _, numbers) in pairs for number in numbers])


def _unpack_layer(layer: Sequence[Member]) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the members that were placed, of notes of opaque folders that are links, of whiteouts in none.

    All whiteouts are looked at before any is acted on.
    """
    hidden: list[tuple[str, str]] = []
    kept, links, missing = [], [], []
    for number, member in enumerate(layer):
        head, _, base = member.name.strip("/").rpartition("/")
        if base.startswith(".wh."):
            hidden += _hidden(f"/{head}", base)
            kept.append(number)
            if base == OPAQUE and os.path.islink(f"/{head}"):
                links.append(number)
            elif not os.path.isdir(f"/{head}"):
                missing.append(number)
    attic = "/.attic"  # what is hidden, until the layer is there: a hard link may mean it
    with _times_of("/"):
        os.mkdir(attic)
    moved = {path: _stash(attic, path, number) for number, (_, path) in enumerate(hidden) if os.path.lexists(path)}
    for number, member in enumerate(layer):
        if number in kept:
            continue
        with contextlib.suppress(OSError):
            _place(member, moved)
            kept.append(number)
    with _times_of("/"):
        shutil.rmtree(attic)
    return sorted(kept), links, missing


def _hidden(folder: str, base: str) -> list[tuple[str, str]]:
    """What a whiteout hides: real folders, and full paths in them."""
    try:
        if base == OPAQUE:
            parent = os.path.realpath(os.path.dirname(folder), strict=True)
            there = os.path.join(parent, os.path.basename(folder)) if folder != "/" else "/"
            names = os.listdir(there) if stat.S_ISDIR(os.lstat(there).st_mode) else []
        else:
            there, names = os.path.realpath(folder, strict=True), [base[4:]]
            os.lstat(os.path.join(there, base[4:]))
    except OSError:
        return []
    return [(there, os.path.join(there, name)) for name in names]


def _stash(attic: str, path: str, number: int) -> str:
    folder = os.path.dirname(path)
    with _times_of(folder):
        os.rename(path, f"{attic}/{number}")
    return f"{attic}/{number}"


@contextlib.contextmanager
def _times_of(folder: str) -> Iterator[None]:
    """A folder keeps its times: no layer says otherwise."""
    before = os.stat(folder)
    try:
        yield
    finally:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _place(member: Member, moved: dict[str, str]) -> None:
    """Raises OSError, before anything is changed, for what has no place."""
    path = os.path.normpath("/" + member.name.lstrip("/"))
    target = _target(member, moved) if member.kind == tarfile.LNKTYPE else ""
    if path == "/":
        _describe(member, path)
        return
    parent = _folder(os.path.dirname(path))
    path = os.path.join(parent, os.path.basename(path))
    is_kept = member.kind == tarfile.DIRTYPE and os.path.isdir(path) and not os.path.islink(path)
    if target and (f"{target}/".startswith(f"{path}/") or _is_same(path, target)):
        raise FileExistsError  # a link to itself, or over the folder that it is in: some refuse it
    with _times_of(parent):
        if not is_kept and os.path.lexists(path):
            _remove(path)
        if not is_kept:
            _make(member, path, target)
    _describe(member, path)


def _is_same(path: str, target: str) -> bool:
    return os.path.lexists(path) and os.path.samestat(os.lstat(path), os.lstat(target))


def _folder(path: str) -> str:
    """Where a path of folders and links leads; what is missing is made, of 1970."""
    real = os.path.realpath(path)
    there = real
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not stat.S_ISDIR(os.lstat(there).st_mode):
        raise NotADirectoryError
    made = "/"
    for name in real.strip("/").split("/"):
        before, made = made, os.path.join(made, name)
        if not os.path.lexists(made):
            with _times_of(before):
                os.mkdir(made, 0o755)
            os.utime(made, (0, 0))
    return real


def _target(member: Member, moved: dict[str, str]) -> str:
    link = "/" + member.link.strip("/")
    parent = os.path.realpath(os.path.dirname(link))
    whole = os.path.join(parent, os.path.basename(link))
    if not os.path.lexists(whole):
        whole = next(
            (there + whole[len(was) :] for was, there in moved.items() if f"{whole}/".startswith(f"{was}/")), whole
        )
    if stat.S_ISDIR(os.lstat(whole).st_mode):
        raise IsADirectoryError
    return whole


def _make(member: Member, path: str, target: str) -> None:
    match member.kind:
        case tarfile.DIRTYPE:
            os.mkdir(path)
        case tarfile.SYMTYPE:
            os.symlink(os.fsencode(member.link), os.fsencode(path))
        case tarfile.LNKTYPE:
            os.link(target, path, follow_symlinks=False)
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
