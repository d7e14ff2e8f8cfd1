"""What `tests/parsers.py` needs, and the parsers of images: layers, archives, manifests, configurations."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from inferno.base.errors import InfernoError
from inferno.image import archive, layout, manifest, oci_config, parts, platforms, reference, source
from inferno.image.layers import decompress, emit, limits, tar
from inferno.image.layers.entry import BadImageError
from inferno.image.layers.tree import Tree, finish
from inferno.settings import load_settings
from tests import images

_MAX_BYTES = 1 << 20
_BLOCK = 512


class Parser(NamedTuple):
    """`repair` makes of an input what gets further: with right checksums, say."""

    seeds: list[bytes]
    take: Callable[[bytes], object]
    repair: Callable[[bytes], bytes] = bytes


@contextlib.contextmanager
def expected() -> Iterator[None]:
    """What Inferno raises on purpose: a line that says something, and no more of another's bytes than one wants."""
    try:
        yield
    except (InfernoError, BadImageError) as error:
        assert str(error)
        assert len(str(error)) < 1 << 17


@contextlib.contextmanager
def descriptor_of(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("input")
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def checked(data: bytes) -> bytes:
    """An archive with the checksums that its headers should have."""
    repaired = bytearray(data)
    for start in range(0, len(data) - _BLOCK + 1, _BLOCK):
        block = data[start : start + _BLOCK]
        if block[257:262] == b"ustar":
            total = sum(block) - sum(block[148:156]) + 8 * 0x20
            repaired[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(repaired)


def _sparse() -> bytes:
    """A file with holes as GNU tar writes it, old form."""
    data = bytearray(images.tar([images.file("holes", b"x" * 600)]))
    data[156:157] = b"S"
    data[257:265] = b"ustar  \0"
    data[386:410] = b"%011o\0%011o\0" % (4096, 600)
    data[483:495] = b"%011o\0" % 8192
    return checked(bytes(data))


def layers() -> list[bytes]:
    members = [
        images.directory("a"), images.file("a/file", b"some data", 0o4755, uid=7, mtime=1.5), images.symlink("l", "a"),
        images.hard_link("h", "a/file"), images.file("x" * 150, b"y" * 700), images.file("a/.wh.file"),
        images.file("l/.wh..wh..opq"), images.Member("null", b"3", device=(1, 3)),
    ]  # fmt: skip
    pax = {
        "SCHILY.xattr.user.a": "b", "mtime": "-1.5", "uid": "3000000000", "size": "3", "path": "p",
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "900", "GNU.sparse.map": "1,2",
    }  # fmt: skip
    acl = {"SCHILY.xattr.system.posix_acl_access": "\x02\0\0\0\x01\0\x07\0", "SCHILY.xattr.security.capability": "\x01"}
    one = [images.tar(members), images.tar([images.file("f", b"abc", pax=pax), images.file("g", pax=acl)])]
    return [*one, images.tar(members, 1), _sparse(), b""]


class _Drain:
    """A pipe whose bytes are taken by a thread, so that any number of them can be written."""

    def __enter__(self) -> _Drain:
        self._reader, self.writer = os.pipe()
        self._taken = bytearray()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        return self

    def _take(self) -> None:
        while data := os.read(self._reader, 1 << 16):
            self._taken += data

    def end(self) -> bytes:
        os.close(self.writer)
        self._thread.join()
        os.close(self._reader)
        return bytes(self._taken)

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.end()


def layer(data: bytes) -> None:
    """From a layer's bytes to what mkfs.erofs gets, which an archive's reader takes without a word."""
    left_out, tree = limits.LeftOut(), Tree(1000, _MAX_BYTES)
    with expected(), descriptor_of(data) as file:
        tree.apply(tar.entries(file, len(data), 0, 0, left_out))
        total, zeros = finish(tree, left_out, 4096)
        assert 0 <= total <= _MAX_BYTES
        assert zeros >= 0
        assert left_out.told().isprintable()
        with _Drain() as drain:
            emit.write(tree, [file], drain.writer, lambda done: None)
            out = drain.end()
    if "out" in locals():
        with descriptor_of(out) as file:
            paths = [entry.name.rstrip(b"/") for entry in tar.entries(file, len(out), 0)]
        assert paths == sorted(set(paths), key=lambda path: path.removeprefix(b".").split(b"/"))


def packed_layer(data: bytes) -> None:
    with expected(), descriptor_of(data) as file, descriptor_of(b"") as out:
        blob = decompress.Blob(file, 0, len(data), None, None)
        if decompress.is_plain(blob):
            decompress.verify(blob, lambda count: None)
        else:
            size = decompress.decompress(blob, out, _MAX_BYTES, lambda count: None)
            assert os.fstat(out).st_size == size <= _MAX_BYTES


def packed() -> list[bytes]:
    import bz2
    import gzip
    import lzma

    import zstandard

    plain = images.tar([images.file("a", b"content" * 100)])
    packed = [gzip.compress(plain), bz2.compress(plain), lzma.compress(plain), zstandard.compress(plain)]
    return [plain, *packed, packed[0] * 2 + bytes(100), packed[3] * 2]


def _ask(ref: str) -> source.Ask:
    settings = load_settings({"HOME": "/nowhere", "INFERNO_ROOT": "/nowhere"}, Path("/nowhere"))
    return source.Ask(reference.parse(ref), source.PUBLIC, settings)


def of_archive(transport: str) -> Callable[[bytes], None]:
    asks = [_ask(f"{transport}:/nowhere.tar{tag}") for tag in ("", ":box:1", ":latest", ":@1")]

    def take(data: bytes) -> None:
        for ask in asks:
            with expected(), descriptor_of(data) as file:
                found = parts.index(ask.ref, file, len(data))
                for blob in archive.layers_of(found, archive.look(found, ask, "")):
                    assert 0 <= blob.offset <= blob.offset + blob.size <= len(data)

    return take


def archives() -> list[bytes]:
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": []}}).encode()
    entry = {"Config": "c.json", "RepoTags": ["box:1"], "Layers": ["l/layer.tar"]}
    whole = [images.file("c.json", config), images.file("manifest.json", json.dumps([entry, entry]).encode())]
    links = [
        images.symlink("l/layer.tar", "../m/layer.tar"),
        images.file("m/layer.tar", b"x"),
        images.hard_link("n", "m"),
    ]
    return [images.tar([*whole, *links]), images.tar(whole)]


def layouts() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        layout_ = images.build(Path(folder), [[images.file("a", b"b")]], Cmd=["/a"])
        names = [path for path in sorted(layout_.rglob("*")) if path.is_file()]
        return [images.tar([images.file(str(path.relative_to(layout_)), path.read_bytes()) for path in names])]


def manifests() -> list[bytes]:
    digest = f"sha256:{'0' * 64}"
    part = {"digest": digest, "size": 7, "mediaType": "application/vnd.oci.image.config.v1+json"}
    one = {"schemaVersion": 2, "config": part, "layers": [part]}
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    notes = {"org.opencontainers.image.ref.name": "latest"}
    entries = [part | {"platform": platform, "annotations": notes}, part | {"mediaType": manifest.INDEXES[0]}]
    return [json.dumps(each).encode() for each in (one, {"schemaVersion": 2, "manifests": entries})]


def a_manifest(data: bytes) -> None:
    """As a manifest, and as an index in which everything is this text."""
    ask = _ask("oci:/nowhere")
    with expected():
        manifest.parse(data)
    with expected():
        layout.from_index(layout.read_index(data, ask.ref), ask, lambda wanted: data, "layout")


def configs() -> list[bytes]:
    inner = {
        "Entrypoint": ["/e"], "Cmd": "c", "Env": ["A=b", "odd"], "WorkingDir": "w", "User": "u:g",
        "StopSignal": "RTMIN+3",
        "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}, "x": {}}, "Healthcheck": {"Test": ["CMD", "x"]},
    }  # fmt: skip
    ids = {"diff_ids": [f"sha256:{'0' * 64}"]}
    return [
        json.dumps({"architecture": "arm", "os": "linux", "variant": "v7", "config": inner, "rootfs": ids}).encode()
    ]


def config(data: bytes) -> None:
    with expected():
        found = oci_config.parse(data)
        assert all(note.isprintable() and len(note) < 1000 for note in found.notes)
        words = [*found.entrypoint, *found.cmd, *found.env, found.working_dir, found.user, *found.volumes]
        assert not any(b"\0" in word.encode() for word in words)
        if (made_for := platforms.of_config(found)) is not None:
            platforms.fit(made_for, None)
