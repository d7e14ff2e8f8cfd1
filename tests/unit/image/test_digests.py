"""Digests by sha256 and sha512, wherever one stands; another algorithm is refused by its name."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.image import base, digests, local_images, oci_config, reference, registry
from inferno.image.layers import decompress
from inferno.image.layers.entry import BadImageError
from inferno.settings import Settings, load_settings
from tests import images

SUPERBLOCK_ENDS = 1024 + 128  # erofs_fs.h: EROFS_SUPER_OFFSET, and a struct erofs_super_block
LONG = f"sha512:{'a' * 128}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


@pytest.mark.parametrize("digest", [f"sha256:{'0f' * 32}", LONG])
def test_both_are_taken(digest: str) -> None:
    assert digests.check(digest, "it") == digest
    assert reference.parse(f"docker://registry.example/app@{digest}").digest == digest
    assert digests.from_path(digests.path(digest)) == digest


@pytest.mark.parametrize(
    ("digest", "says"),
    [(f"md5:{'a' * 32}", "algorithm 'md5'"), (f"sha384:{'a' * 96}", "algorithm 'sha384'"),
     (f"blake3:{'a' * 64}", "algorithm 'blake3'"), (f"sha256+b64:{'a' * 64}", r"algorithm 'sha256\+b64'"),
     ("sha256:abc", "64 hexadecimal"), (f"sha256:{'A' * 64}", "lower case"), (f"sha512:{'a' * 64}", "128 hexadecimal"),
     ("", "malformed"), ("sha256", "malformed"), ("sha256:../../etc/passwd", "malformed"),
     (f"sha256:{'a' * 64}\n", "malformed")],
)  # fmt: skip
def test_another_is_refused(digest: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"^it is .*{says}"):
        digests.check(digest, "it")
    with pytest.raises(UsageError, match=says):
        oci_config.parse(json.dumps({"rootfs": {"diff_ids": [digest]}}))
    if digest and "\n" not in digest:
        with pytest.raises(UsageError, match=says):
            reference.parse(f"app@{digest}")


@pytest.mark.root
@pytest.mark.parametrize("level", [0, 1], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "parts", [images.PARTS, ["layer"], ["layer", "diff_ids"], ["config"], ["manifest", "layers"]], ids=" ".join
)
def test_an_image_named_by_sha512(parts: list[str], level: int, tmp_path: Path, settings: Settings) -> None:
    """Throughout, or in part: as a folder, and packed. The base is that by sha256 but for its UUID."""
    folder = images.build(tmp_path / "l", [[images.file("a", b"x")], [images.file("b")]], level=level, Cmd=["/a"])
    local_images.ensure(f"oci:{folder}", settings)
    expected = base.ensure(f"oci:{folder}", settings).read_bytes()[SUPERBLOCK_ENDS:]
    digest = images.rename_digests(folder, parts=parts)
    packed = tmp_path / "packed.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(folder, ".")
    for ref in (f"oci:{folder}", f"oci:{folder}@{digest}", f"oci-archive:{packed}", f"oci-archive:{packed}@{digest}"):
        made = local_images.ensure(ref, settings)
        assert made.digest == digests.of((settings.root / "images" / made.digest[7:] / "manifest.json").read_bytes())
        assert base.ensure(ref, settings).read_bytes()[SUPERBLOCK_ENDS:] == expected


@pytest.mark.root
def test_diff_ids_by_sha512_in_what_docker_saves(tmp_path: Path, settings: Settings) -> None:
    layer, path = images.tar([images.file("a", b"x")]), tmp_path / "saved.tar"
    for right in (True, False):
        digest = digests.of(layer, "sha512") if right else LONG
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}
        saved = [{"Config": "c", "RepoTags": [], "Layers": ["1"]}]
        parts = {"c": json.dumps(config).encode(), "1": layer, "manifest.json": json.dumps(saved).encode()}
        path.write_bytes(images.tar([images.file(name, data) for name, data in parts.items()]))
        local_images.ensure(f"docker-archive:{path}", settings)
        if right:
            assert base.ensure(f"docker-archive:{path}", settings).exists()
        else:
            with pytest.raises(UsageError, match="its diff ID is sha512:"):
                base.ensure(f"docker-archive:{path}", settings)


def test_a_manifest_that_is_not_what_its_sha512_says(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", [[images.file("a", b"x")]], Cmd=["/a"])
    digest = images.rename_digests(folder)
    with (folder / "blobs" / digests.path(digest)).open("ab") as blob:
        blob.write(b" ")
    with pytest.raises(UsageError, match=f"damaged: {digest} has other content"):
        local_images.ensure(f"oci:{folder}", settings)


@pytest.mark.parametrize("which", ["digest", "diff_id"])
@pytest.mark.parametrize("how", ["decompress", "verify"])
def test_a_layer_is_held_to_its_sha512(which: str, how: str) -> None:
    data = b"content"
    right = {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "diff_id": digests.of(data, "sha512")}
    source, out = os.memfd_create("layer"), os.memfd_create("out")
    try:
        os.write(source, data)
        for wrong in (False, True):
            named = {**right, which: LONG} if wrong else right
            blob = decompress.Blob(source, 0, len(data), **named)
            call = decompress.verify if how == "verify" else _decompress(out)
            if wrong:
                with pytest.raises(BadImageError, match=f"its {which.replace('_id', ' ID')} is sha512:.*{LONG}"):
                    call(blob, lambda count: None)
            else:
                call(blob, lambda count: None)
    finally:
        os.close(source)
        os.close(out)


def _decompress(out: int):  # type: ignore[no-untyped-def]
    return lambda blob, progress: decompress.decompress(blob, out, 1 << 20, progress)


def test_layers_of_both_are_kept_apart(settings: Settings) -> None:
    assert registry.blob(settings, LONG) == settings.root / "images/blobs/sha512" / ("a" * 128)
