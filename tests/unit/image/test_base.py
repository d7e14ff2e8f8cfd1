"""Layers to a base by the real worker and the real mkfs.erofs: what is hostile is refused, and nothing is left."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import secrets
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import base, local_images
from inferno.image.layers import limits
from inferno.settings import Settings, load_settings
from tests import images

pytestmark = pytest.mark.root
MAGIC = b"\xe2\xe1\xf5\xe0"  # EROFS_SUPER_MAGIC_V1, little endian, at byte 1024
LAYERS = [[images.directory("etc"), images.file("etc/x", b"hello")], [images.hard_link("y", "etc/x")]]
LARGE = [*LAYERS, [images.file("large", random.Random(2).randbytes(100_000) + bytes(900_000))]]  # of small ones few
of_both_kinds = pytest.mark.parametrize("layers", [LAYERS, LARGE], ids=["compressed", "as-it-is"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path)


def load(tmp_path: Path, **more: str) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path), **more}, tmp_path / "none")


def make(folder: Path, settings: Settings) -> Path:
    local_images.ensure(f"oci:{folder}", settings)
    return base.ensure(f"oci:{folder}", settings)


@of_both_kinds
def test_a_base_is_roots_read_only_and_reproducible(layers: list[list[images.Member]], tmp_path: Path) -> None:
    folder = images.build(tmp_path / "l", layers, Cmd=["/x"])
    made = [make(folder, load(tmp_path / name)) for name in ("one", "two")]
    assert made[0].read_bytes() == made[1].read_bytes()
    assert made[0].read_bytes()[1024:1028] == MAGIC
    info = made[0].stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (0, 0, 0o444)


@of_both_kinds
def test_the_same_bytes_as_another_user(layers: list[list[images.Member]], tmp_path: Path) -> None:
    folder = images.build(tmp_path / "l", layers, Cmd=["/x"])
    other = load(tmp_path / "two", INFERNO_UID_BASE="900000")
    assert make(folder, load(tmp_path / "one")).read_bytes() == make(folder, other).read_bytes()


def test_it_is_compressed_where_that_takes_much_out_or_when_told_to(tmp_path: Path) -> None:
    large = images.build(tmp_path / "large", LARGE, Cmd=["/x"])
    as_it_is = make(large, load(tmp_path / "one")).stat().st_size
    told = make(large, load(tmp_path / "two", INFERNO_IMAGE_COMPRESSION="lz4")).stat().st_size
    assert as_it_is > 1_000_000
    assert told < 200_000
    small = images.build(tmp_path / "small", [[images.file(f"f{n}", b"x") for n in range(500)]], Cmd=["/x"])
    assert make(small, load(tmp_path / "three")).stat().st_size < 100_000
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "30000000", "GNU.sparse.name": "h"}
    holes = images.build(tmp_path / "holes", [[images.file("h", b"0\n" + bytes(510), pax=pax)]], Cmd=["/x"])
    assert make(holes, load(tmp_path / "four")).stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.compress, lzma.compress, bz2.compress, bytes,
     lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
     lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:])],
    ids=["gzip", "zstd", "xz", "bzip2", "plain", "gzip-members", "zstd-frames"],
)  # fmt: skip
def test_compressions(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """The manifest's word for the compression is not what counts: the bytes are. More data than a pipe holds."""
    layers = [*LAYERS, [images.file("zz", random.Random(1).randbytes(3 << 20))]]
    plain = make(images.build(tmp_path / "plain", layers, level=0, Cmd=["/x"]), load(tmp_path / "one"))
    folder = images.build(tmp_path / "l", layers, level=0, Cmd=["/x"])
    repack(folder, pack)
    made = make(folder, load(tmp_path / "two"))
    assert without_uuid(made) == without_uuid(plain)


def without_uuid(path: Path) -> bytes:
    """The file system but for the super block, whose UUID is the digest's."""
    data = path.read_bytes()
    return data[:1024] + data[1024 + 128 :]


def repack(folder: Path, pack: Callable[[bytes], bytes]) -> None:
    blobs = folder / "blobs/sha256"
    entry = json.loads((folder / "index.json").read_text())["manifests"][0]
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())
    old = [(blobs / layer["digest"].removeprefix("sha256:")).read_bytes() for layer in manifest["layers"]]
    manifest["layers"] = [images.put(blobs, pack(data), "application/vnd.oci.image.layer.v1.tar") for data in old]
    (folder / "index.json").write_text(
        json.dumps({"manifests": [images.put(blobs, json.dumps(manifest).encode(), entry["mediaType"])]})
    )


def layer_paths(folder: Path) -> list[Path]:
    blobs = folder / "blobs/sha256"
    entry = json.loads((folder / "index.json").read_text())["manifests"][0]
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())
    return [blobs / layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]]


def flip(folder: Path) -> None:
    path = layer_paths(folder)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def cut(folder: Path) -> None:
    path = layer_paths(folder)[0]
    path.write_bytes(path.read_bytes()[:-20])


def lost(folder: Path) -> None:
    layer_paths(folder)[0].unlink()


def a_pipe(folder: Path) -> None:
    lost(folder)
    os.mkfifo(layer_paths(folder)[0])


def no_file(folder: Path) -> None:
    lost(folder)
    layer_paths(folder)[0].symlink_to("/dev/zero")


def a_pipe_for_a_manifest(folder: Path) -> None:
    digest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    path = folder / "blobs/sha256" / digest.removeprefix("sha256:")
    path.unlink()
    os.mkfifo(path)


def wrong_diff_id(folder: Path) -> None:
    repack(folder, lambda data: gzip.compress(images.tar([images.file("other")])))


def no_tar(folder: Path) -> None:
    shutil.rmtree(folder)
    images.build(folder, [b"\x7fELF" + bytes(3000)], Cmd=["/x"])


def bomb(folder: Path) -> None:
    shutil.rmtree(folder)
    images.build(folder, [images.tar([images.file("zeros", bytes(40 << 20))])], level=9, Cmd=["/x"])


def sparse_bomb(folder: Path) -> None:
    """A header of 512 bytes that stands for 8 EiB of zeros."""
    shutil.rmtree(folder)
    pax = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": str(1 << 62),
        "GNU.sparse.name": "z",
    }
    images.build(folder, [[images.file("z", b"0\n" + bytes(510), pax=pax)]], Cmd=["/x"])


@pytest.mark.parametrize(
    ("harm", "says"),
    [(flip, "damaged"), (cut, "shorter|damaged"), (lost, "No such file"), (a_pipe, "not a regular file"),
     (no_file, "not a regular file"), (a_pipe_for_a_manifest, "not a regular file"), (wrong_diff_id, "diff ID"),
     (no_tar, "not a tar archive"), (bomb, "INFERNO_IMAGE_MAX_MB"), (sparse_bomb, "INFERNO_IMAGE_MAX_MB")],
)  # fmt: skip
def test_a_bad_image_is_one_error_and_leaves_nothing(harm: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    settings = load(tmp_path, INFERNO_IMAGE_MAX_MB="20")
    folder = images.build(tmp_path / "l", LAYERS, Cmd=["/x"])
    harm(folder)
    with pytest.raises(UsageError, match=says):
        make(folder, settings)
    assert [path.name for path in settings.root.rglob("*.erofs")] == []
    assert [path for path in settings.root.rglob("*") if path.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    "layer",
    [[images.symlink("out", "/"), images.file("out/tmp/inferno-escaped", b"x")],
     [images.symlink("out", "../../../../../../tmp"), images.file("out/inferno-escaped", b"x")],
     [images.file("/tmp/inferno-escaped", b"x")],
     [images.Member("disk", tarfile.BLKTYPE, device=(254, 0)), images.Member("fifo", tarfile.FIFOTYPE)]],
    ids=["through-root", "upwards", "absolute", "devices"],
)  # fmt: skip
def test_what_aims_outside_stays_data_of_the_image(
    layer: list[images.Member], tmp_path: Path, settings: Settings
) -> None:
    make(images.build(tmp_path / "l", [layer], Cmd=["/x"]), settings)
    assert not Path("/tmp/inferno-escaped").exists()


@pytest.mark.parametrize(
    "layer",
    [[images.file("../x")], [images.hard_link("x", "../../etc/passwd")], [images.hard_link("x", "/etc/passwd")]],
)
def test_what_leads_upwards_is_refused(layer: list[images.Member], tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"leads upwards|is not there"):
        make(images.build(tmp_path / "l", [layer], Cmd=["/x"]), settings)


XATTR = "SCHILY.xattr."
ODD = {
    "apple": images.file("a", pax={f"{XATTR}com.apple.provenance": "\1\2"}),
    "overlay": images.directory("a", pax={f"{XATTR}trusted.overlay.opaque": "y"}),
    "large": images.file("a", pax={f"{XATTR}user.x": "v" * 70_000}),
    "many": images.file("a", pax={f"{XATTR}user.x{n}": "v" for n in range(2000)}),
    "long": images.file("a", pax={f"{XATTR}user." + "n" * 300: "v"}),
    "capability": images.file("a", pax={f"{XATTR}security.capability": "none"}),
    "device": images.Member("a", tarfile.CHRTYPE, device=(4096, 1)),
    "whiteout": images.Member("a", tarfile.CHRTYPE),
    "owner": images.file("a", pax={"uid": "4294967295"}),
    "time": images.file("a", pax={"mtime": "99999999999999999999"}),
    "name": images.file("n" * 256),
    "path": images.file("/".join(["d" * 250] * 20)),
    "link": images.symlink("a", "t" * 4096),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_no_guest_can_have_is_left_out_and_said(odd: str, tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", [[ODD[odd], images.file("other", b"x")]], Cmd=["/x"])
    said = base.left_out(make(folder, settings))
    assert said.partition(" ")[0] == ("1892" if odd == "many" else "1")
    assert len(said) < 300
    plain = images.build(tmp_path / "plain", [[images.file("other", b"x")]], Cmd=["/x"])
    assert base.left_out(make(plain, settings)) == ""


def test_as_many_xattrs_as_there_is_room_for(tmp_path: Path, settings: Settings) -> None:
    pax = {f"{XATTR}user.{name}": "v" * limits.MAX_VALUE_BYTES for name in "abcde"}
    made = make(images.build(tmp_path / "l", [[images.file("a", pax=pax)]], Cmd=["/x"]), settings)
    assert base.left_out(made) == "1 xattrs (the first: a: user.e)"  # four in headers of 32 KiB each: 128 KiB
    assert made.stat().st_size > 4 * limits.MAX_VALUE_BYTES


def test_a_base_by_another_recipe_is_made_anew(tmp_path: Path, settings: Settings) -> None:
    made = make(images.build(tmp_path / "l", LAYERS, Cmd=["/x"]), settings)
    digest = json.loads((tmp_path / "l/index.json").read_text())["manifests"][0]["digest"]
    assert base.is_intact(digest, settings)
    note = made.with_name("base.json")
    old = json.loads(note.read_text())
    del old["recipe"]  # as the first release wrote it
    note.write_text(json.dumps(old))
    before = made.stat().st_mtime_ns
    assert not base.is_intact(digest, settings)
    assert make(tmp_path / "l", settings).stat().st_mtime_ns != before
    assert base.is_intact(digest, settings)


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    settings = load(tmp_path, INFERNO_IMAGE_MAX_ENTRIES="100")
    layer = [images.file(f"f{n}") for n in range(101)]
    with pytest.raises(UsageError, match="more than 100 entries"):
        make(images.build(tmp_path / "l", [layer], Cmd=["/x"]), settings)


def test_a_worker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    unheard_of = f"1000.{secrets.randbits(60)}"
    settings = with_mkfs(tmp_path, f"exec sleep {unheard_of}", INFERNO_IMAGE_TIMEOUT="1")
    with pytest.raises(UsageError, match="too long"):
        make(images.build(tmp_path / "l", LAYERS, Cmd=["/x"]), settings)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if unheard_of.encode() in read_if_there(path)]
    assert left == []
    assert [path.name for path in settings.root.rglob("*.erofs")] == []


def with_mkfs(tmp_path: Path, script: str, **more: str) -> Settings:
    """With a stand-in for mkfs.erofs, which does this."""
    mkfs = tmp_path / "share/tools/mkfs.erofs"
    mkfs.parent.mkdir(parents=True)
    mkfs.write_text(f"#!/bin/sh\n[ $1 = -V ] && exec echo 1.8.6\n{script}\n")
    mkfs.chmod(0o755)
    return load(tmp_path, INFERNO_SHARE_DIR=str(tmp_path / "share"), **more)


def read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a process that ended meanwhile
        return b""


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    import subprocess

    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", root], check=True)
    try:
        settings = load(tmp_path)
        folder = images.build(tmp_path / "l", [[images.file("big", os.urandom(8 << 20))]], Cmd=["/x"])
        with pytest.raises(UsageError, match=r"no space left on the disk of .*/images \(\d+ MiB free, at least 9 MiB"):
            make(folder, settings)
        assert [path.name for path in root.rglob("*.erofs")] == []
    finally:
        subprocess.run(["umount", root], check=True)


def test_a_failure_that_mkfs_only_mentions_is_one(tmp_path: Path) -> None:
    """1.8 passes over data that it could not write: where something else makes room, it goes on and ends with 0."""
    settings = with_mkfs(tmp_path, "cat > /dev/null; echo 'write: No space left on device' >&2")
    with pytest.raises(UsageError, match="no space left on the disk"):
        make(images.build(tmp_path / "l", LAYERS, Cmd=["/x"]), settings)
    assert [path.name for path in settings.root.rglob("*.erofs")] == []


def test_a_base_that_is_there_is_not_made_again(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", LAYERS, Cmd=["/x"])
    made = make(folder, settings)
    before = made.stat()
    shutil.rmtree(folder)
    assert base.ensure(f"oci:{folder}", settings).stat() == before


def test_what_killed_writers_left_goes_with_the_next(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", LAYERS, Cmd=["/x"])
    made = make(folder, settings)
    known = [path for path in settings.root.rglob("*.json") if path.is_file()]
    assert {path.name for path in known} > {"manifest.json", "config.json", "base.json"}
    for path in known:
        path.with_name(f".{path.name}.x7.tmp").touch()
    made.unlink()
    assert make(folder, settings) == made
    assert list(settings.root.rglob(".*.tmp")) == []


def test_a_file_without_a_name_gets_one_or_is_gone(tmp_path: Path) -> None:
    with files.nameless(tmp_path) as descriptor:
        os.write(descriptor, b"x")
        assert list(tmp_path.iterdir()) == []
        files.give_name(descriptor, tmp_path / "named")
        with pytest.raises(FileExistsError):
            files.give_name(descriptor, tmp_path / "named")
    assert (tmp_path / "named").read_bytes() == b"x"
