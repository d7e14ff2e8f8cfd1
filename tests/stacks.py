"""Stacks of layers, settled into one tree by the code under test, and what a plain reader of archives finds in it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence

from inferno.image.layers import emit, tar
from inferno.image.layers.limits import LeftOut
from inferno.image.layers.tree import Tree, finish
from tests import images
from tests.images import Member

Listing = dict[str, str]


def settle(
    layers: Sequence[Sequence[Member]],
    max_entries: int = 1000,
    max_bytes: int = 1 << 30,
    left_out: LeftOut | None = None,
) -> bytes:
    """The layers as one stream, as mkfs gets it; `left_out` is told what is not in it."""
    left_out = LeftOut() if left_out is None else left_out
    tree = Tree(max_entries, max_bytes)
    files = []
    for number, layer in enumerate(layers):
        data = images.tar(layer)
        descriptor = os.memfd_create("layer")
        os.write(descriptor, data)
        files.append(descriptor)
        tree.apply(tar.entries(descriptor, len(data), number, 0, left_out))
    finish(tree, left_out, 4096)
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
