"""Stacks of layers by chance, settled into one tree by the code under test and by a plain unpacker in a real folder."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

from inferno.image.layers import emit, tar
from inferno.image.layers.tree import Tree
from tests import images
from tests.images import Member, directory, file, hard_link, symlink, whiteout

Listing = dict[str, str]


def settle(layers: Sequence[Sequence[Member]], max_entries: int = 1000, max_bytes: int = 1 << 30) -> bytes:
    """The layers as one stream, as mkfs gets it."""
    tree = Tree(max_entries, max_bytes)
    files = []
    for number, layer in enumerate(layers):
        data = images.tar(layer)
        descriptor = os.memfd_create("layer")
        os.write(descriptor, data)
        files.append(descriptor)
        tree.apply(tar.entries(descriptor, len(data), number))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:  # the pipe takes less than some streams have
        os.close(reader)
        emit.write(tree, files, writer, lambda done: None)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in files:
        os.close(descriptor)
    return data


def listing(stream: bytes) -> Listing:
    """What an independent reader finds in a stream: path -> type, mode, owner, and content or target."""
    found: Listing = {}
    with tarfile.open(fileobj=io.BytesIO(stream), encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            path = os.path.normpath(member.name)
            if member.islnk():
                found[path] = found[os.path.normpath(member.linkname)]
                continue
            what = ""
            if member.isreg():
                content = archive.extractfile(member)
                what = content.read().decode(errors="replace") if content else ""
            elif member.issym():
                what = f"-> {member.linkname}"
            elif member.isdev():
                what = f"{member.devmajor},{member.devminor}"
            kind = "dir" if member.isdir() else "link" if member.issym() else "file" if member.isreg() else "dev"
            mode = "" if member.issym() else f" {member.mode:o}"
            found[path] = f"{kind}{mode} {member.uid}:{member.gid} {what}"
    return found


def unpack(root: Path, layers: Sequence[Sequence[Member]]) -> set[str]:
    """A plain unpacker, as the OCI spec describes one, in a folder of the test's own; no symlinked parents.

    Returns the directories in which it had to make a parent that no layer describes, and that no layer describes later.
    """
    disturbed = set[str]()
    for layer in layers:
        for member in layer:
            head, _, base = member.name.rpartition("/")
            if base == ".wh..wh..opq":
                for entry in (root / head).iterdir() if (root / head).is_dir() else ():
                    remove(entry)
            elif base.startswith(".wh."):
                remove(root / head / base[4:])
        for member in layer:
            if not member.name.rpartition("/")[2].startswith(".wh."):
                disturbed |= parents_made(root, member)
                disturbed.discard(member.name)
                place(root, member)
    return disturbed


def parents_made(root: Path, member: Member) -> set[str]:
    """The directory in which the first missing parent of a member is to be made; none when its parent is there."""
    missing = [parent for parent in (root / member.name).parents if parent != root and not parent.is_dir()]
    missing = [parent for parent in missing if parent.is_relative_to(root)]
    return {str(missing[-1].parent.relative_to(root))} if missing else set()


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def place(root: Path, member: Member) -> None:
    path = root / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (path.is_dir() and not path.is_symlink() and member.kind == tarfile.DIRTYPE):
        remove(path)
    if member.kind == tarfile.DIRTYPE:
        path.mkdir(exist_ok=True)
    elif member.kind == tarfile.SYMTYPE:
        path.symlink_to(member.link)
    elif member.kind == tarfile.LNKTYPE:
        os.link(root / member.link, path, follow_symlinks=False)
        return
    else:
        path.write_bytes(member.data)
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if member.kind != tarfile.SYMTYPE:
        path.chmod(member.mode)


def on_disk(root: Path) -> Listing:
    found: Listing = {}
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        kind = "dir" if path.is_dir() and not path.is_symlink() else "link" if path.is_symlink() else "file"
        what = f"-> {os.readlink(path)}" if kind == "link" else path.read_text() if kind == "file" else ""
        mode = "" if kind == "link" else f" {stat.S_IMODE(info.st_mode):o}"
        found[os.path.relpath(path, root)] = f"{kind}{mode} {info.st_uid}:{info.st_gid} {what}"
    return found


def random_layers(chance: random.Random) -> list[list[Member]]:
    """Stacks that any unpacker could place: a hard link's target and each parent is there, and no symlink a parent."""
    layers: list[list[Member]] = []
    kinds: dict[str, str] = {}
    for number in range(chance.randrange(1, 5)):
        layer: list[Member] = [directory("./")] if number == 0 else []
        hidden = [p for p in kinds if chance.random() < 0.15]
        for path in hidden:
            layer.append(whiteout(path))
            kinds = {k: v for k, v in kinds.items() if k != path and not k.startswith(f"{path}/")}
        for _ in range(chance.randrange(0, 12)):
            path = "/".join(chance.choices("abc", k=chance.randrange(1, 4)))
            parents = [path[:at] for at in range(len(path)) if path[at] == "/"]
            if any(kinds.get(parent, "d") != "d" for parent in parents):
                continue
            kinds.update({parent: "d" for parent in parents if parent not in kinds})
            layer += _random_member(chance, path, kinds)
        layers.append(layer)
    return layers


def _random_member(chance: random.Random, path: str, kinds: dict[str, str]) -> list[Member]:
    more = {"mode": chance.choice([0o644, 0o4755, 0o1777, 0o600]), "uid": chance.randrange(3), "gid": 7}
    kind = chance.choice("ddffls" if kinds.get(path) != "d" else "ddfs")
    targets = [p for p, k in kinds.items() if k == "f" and p != path]
    if kind == "l" and not targets:
        kind = "f"
    if kind != "d":
        for below in [k for k in kinds if k.startswith(f"{path}/")]:
            del kinds[below]
    kinds[path] = {"l": "f"}.get(kind, kind)
    if kind == "d":
        return [directory(path, **more)]
    if kind == "s":
        return [symlink(path, chance.choice(["/a", "../b", "c"]), uid=more["uid"])]
    if kind == "l":
        return [hard_link(path, chance.choice(targets))]
    return [file(path, str(chance.random()).encode(), **more)]


def check(seed: int, folder: Path) -> None:
    """A stack by chance comes out as a plain unpacker has it in `folder`, which is empty. Needs root, for chown(2)."""
    layers = random_layers(random.Random(seed))
    root = folder / "root"
    root.mkdir(mode=0o755)
    unpack(root, layers)
    assert listing(settle(layers)) == on_disk(root)
