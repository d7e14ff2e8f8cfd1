"""Folders and archives of images: the right image is found, and a damaged one is refused before anything is made."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import local_images, manifest, reference, source
from inferno.settings import Settings, load_settings
from tests import images

LAYER = [images.file("a", b"content")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


def oci_archive(folder: Path, out: Path) -> Path:
    with tarfile.open(out, "w") as archive:
        archive.add(folder, ".")
    return out


def docker_archive(out: Path, layers: list[bytes], tags: list[str], **inner: Any) -> Path:
    """What `docker save` wrote before version 25."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    text = json.dumps({"architecture": "amd64", "os": "linux", "config": inner, "rootfs": {"diff_ids": diff_ids}})
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    entry = {"Config": "config.json", "RepoTags": tags, "Layers": names}
    parts = {"config.json": text.encode(), "manifest.json": json.dumps([entry]).encode()}
    parts.update(zip(names, layers, strict=True))
    with tarfile.open(out, "w") as archive:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out


def read(ref: str, settings: Settings) -> tuple[source.Image, list[bytes]]:
    """The image a reference means, and its layers as they are stored."""
    import os

    ask = source.Ask(reference.parse(ref), source.PUBLIC, settings)
    image = source.resolve(ask)
    with source.layers(ask, image) as layers:
        return image, [os.pread(layer.descriptor, layer.size, layer.offset) for layer in layers]


def test_a_layout(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", [LAYER, [images.file("b")]], Cmd=["/a"])
    image, layers = read(f"oci:{folder}", settings)
    assert [gzip.decompress(layer) for layer in layers] == [images.tar(LAYER), images.tar([images.file("b")])]
    assert image.digest == manifest.digest_of(image.manifest)
    assert read(f"oci:{folder}:latest", settings)[0].digest == image.digest


@pytest.mark.root
def test_an_archive_of_a_layout_holds_the_same_image(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", [LAYER], Cmd=["/a"])
    plain = oci_archive(folder, tmp_path / "a.tar")
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
    expected = read(f"oci:{folder}", settings)
    for name in ("a.tar", "a.tar.gz"):
        image, layers = read(f"oci-archive:{tmp_path / name}", settings)
        assert (image.digest, image.config, layers) == (expected[0].digest, expected[0].config, expected[1])


def test_what_docker_save_writes(tmp_path: Path, settings: Settings) -> None:
    path = docker_archive(tmp_path / "d.tar", [images.tar(LAYER)], ["app:v1"], Cmd=["/a"])
    image, layers = read(f"docker-archive:{path}", settings)
    assert image.digest == manifest.digest_of(image.config)
    assert layers == [images.tar(LAYER)]
    assert read(f"docker-archive:{path}:app:v1", settings)[0] == image
    with pytest.raises(UsageError, match="holds no image"):
        read(f"docker-archive:{path}:other:v1", settings)


def test_links_among_the_layers_of_old_docker_archives(tmp_path: Path, settings: Settings) -> None:
    path = docker_archive(tmp_path / "d.tar", [images.tar(LAYER)] * 2, [])
    data = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=data, mode="w") as new:
        for member in old:
            if member.name == "1/layer.tar":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "../0/layer.tar", 0
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    path.write_bytes(data.getvalue())
    assert read(f"docker-archive:{path}", settings)[1] == [images.tar(LAYER)] * 2


def test_what_an_archive_says_beside_its_parts_takes_no_memory(tmp_path: Path, settings: Settings) -> None:
    parts = [images.file(f"part{n}", pax={"SCHILY.xattr.user.x": "y" * 500_000}) for n in range(8)]
    (tmp_path / "image.tar").write_bytes(images.tar(parts))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"manifest\.json is missing"):
            read(f"docker-archive:{tmp_path / 'image.tar'}", settings)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()


def test_the_platform_of_this_host_is_chosen(tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", [LAYER], Cmd=["/a"])
    index = json.loads((folder / "index.json").read_text())
    blobs = folder / "blobs/sha256"
    here = index["manifests"][0] | {"platform": {"os": "linux", "architecture": "amd64"}}
    other = images.put(blobs, b"{}", here["mediaType"]) | {"platform": {"os": "linux", "architecture": "s390x"}}
    kind = "application/vnd.oci.image.index.v1+json"
    nested = images.put(blobs, json.dumps({"mediaType": kind, "manifests": [other, here]}).encode(), kind)
    (folder / "index.json").write_text(json.dumps({"manifests": [nested]}))
    assert read(f"oci:{folder}", settings)[0].digest == here["digest"]
    only = images.put(blobs, json.dumps({"mediaType": kind, "manifests": [other]}).encode(), kind)
    (folder / "index.json").write_text(json.dumps({"manifests": [only]}))
    with pytest.raises(UsageError, match=r"not made for linux/amd64") as caught:
        read(f"oci:{folder}", settings)
    assert "linux/s390x" in str(caught.value.hint)


@pytest.mark.parametrize("inner", [False, True], ids=["index.json", "an-index-in-it"])
def test_what_buildkit_notes_beside_an_image_is_no_image(tmp_path: Path, settings: Settings, inner: bool) -> None:
    """`docker buildx build` attests where an image comes from: a manifest of its own, for the platform unknown."""
    folder = images.build(tmp_path / "layout", [LAYER], Cmd=["/built"])
    blobs = folder / "blobs/sha256"
    index = json.loads((folder / "index.json").read_text())
    image = {key: index["manifests"][0][key] for key in ("mediaType", "digest", "size")}
    kind = "application/vnd.in-toto+json"
    note = {
        "schemaVersion": 2,
        "mediaType": image["mediaType"],
        "config": images.put(blobs, b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [images.put(blobs, b'{"_type": "https://in-toto.io/Statement/v0.1"}', kind)],
    }
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
    unknown = {"platform": {"os": "unknown", "architecture": "unknown"}, "annotations": about}
    noted = images.put(blobs, json.dumps(note).encode(), image["mediaType"]) | unknown
    built = {"schemaVersion": 2, "manifests": [noted, image | {"platform": {"os": "linux", "architecture": "amd64"}}]}
    if inner:
        media_type = "application/vnd.oci.image.index.v1+json"
        entry = images.put(blobs, json.dumps(built | {"mediaType": media_type}).encode(), media_type)
        built = {"schemaVersion": 2, "manifests": [entry]}
    (folder / "index.json").write_text(json.dumps(built))
    for ref in (f"oci:{folder}", f"oci-archive:{oci_archive(folder, tmp_path / 'image.tar')}"):
        assert read(ref, settings)[0].digest == image["digest"]


def test_several_images_in_one_layout_need_a_tag(tmp_path: Path, settings: Settings) -> None:
    images.build(tmp_path / "l", [LAYER], tag="one", Cmd=["/a"])
    first = json.loads((tmp_path / "l/index.json").read_text())["manifests"]
    images.build(tmp_path / "l", [LAYER], tag="two", Cmd=["/b"])
    second = json.loads((tmp_path / "l/index.json").read_text())["manifests"]
    (tmp_path / "l/index.json").write_text(json.dumps({"manifests": first + second}))
    assert read(f"oci:{tmp_path}/l:two", settings)[0].digest == second[0]["digest"]
    with pytest.raises(UsageError, match="several images") as caught:
        read(f"oci:{tmp_path}/l", settings)
    assert "one, two" in str(caught.value.hint)


def damage_manifest(folder: Path) -> None:
    digest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    (folder / "blobs/sha256" / digest.removeprefix("sha256:")).write_text("{}")


def many_layers(folder: Path) -> None:
    layer = {"digest": f"sha256:{'a' * 64}", "size": 1}
    data = json.dumps({"schemaVersion": 2, "config": layer, "layers": [layer] * 10_000}).encode()
    entry = images.put(folder / "blobs/sha256", data, "application/vnd.oci.image.manifest.v1+json")
    (folder / "index.json").write_text(json.dumps({"manifests": [entry]}))


def huge_config(folder: Path) -> None:
    data = b'{"config": {}}' + b" " * (50 << 20)
    entry = images.put(folder / "blobs/sha256", data, "x")
    text = json.dumps({"schemaVersion": 2, "config": entry, "layers": []}).encode()
    (folder / "index.json").write_text(json.dumps({"manifests": [images.put(folder / "blobs/sha256", text, "x")]}))


def no_index(folder: Path) -> None:
    (folder / "index.json").unlink()


def garbage(folder: Path) -> None:
    (folder / "index.json").write_text("[" * 200_000)


def a_path_for_a_digest(folder: Path) -> None:
    entry = {"digest": "sha256:../../../../etc/passwd", "size": 1}
    (folder / "index.json").write_text(json.dumps({"manifests": [entry]}))


@pytest.mark.parametrize(
    ("harm", "says"),
    [(damage_manifest, "damaged"), (many_layers, "10000 layers"), (huge_config, "more than"), (no_index, "no image at"),
     (garbage, "not JSON"), (a_path_for_a_digest, "malformed")],
)  # fmt: skip
def test_a_bad_layout_is_refused(harm: Callable[[Path], None], says: str, tmp_path: Path, settings: Settings) -> None:
    folder = images.build(tmp_path / "l", [LAYER], Cmd=["/a"])
    harm(folder)
    with pytest.raises(UsageError, match=says):
        local_images.ensure(f"oci:{folder}", settings)
    assert not settings.root.exists()


@pytest.mark.parametrize(
    "text",
    [
        "oci-archive:{0}/none",
        "docker-archive:{0}/none",
        "oci:{0}/none",
        "oci-archive:{0}",
        "docker-archive:/etc/passwd",
        "oci-archive:/etc/passwd",
    ],
)
def test_what_is_no_image_is_refused(text: str, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UsageError):
        local_images.ensure(text.format(tmp_path), settings)


@pytest.mark.root
def test_a_compressed_archive_is_held_to_the_limits(tmp_path: Path) -> None:
    """And read without rights: the worker that does it says so when there are no more."""
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "INFERNO_IMAGE_MAX_MB": "20"}, tmp_path / "none")
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(bytes(40 << 20)))
    with pytest.raises(UsageError, match="INFERNO_IMAGE_MAX_MB"):
        local_images.ensure(f"oci-archive:{bomb}", settings)
    bomb.write_bytes(bomb.read_bytes()[:100])
    with pytest.raises(UsageError, match="damaged"):
        local_images.ensure(f"docker-archive:{bomb}", settings)
    assert not [path for path in settings.root.rglob("*") if path.is_file()]


def test_a_stamp_changes_only_with_the_image(tmp_path: Path, settings: Settings) -> None:
    ref = f"oci:{images.build(tmp_path / 'l', [LAYER], Cmd=['/a'])}"
    assert not local_images.unchanged(ref, settings)
    first = local_images.ensure(ref, settings)
    assert local_images.unchanged(ref, settings)
    images.build(tmp_path / "l", [LAYER], Cmd=["/b"])
    assert not local_images.unchanged(ref, settings)
    assert local_images.ensure(ref, settings).digest != first.digest
    assert local_images.unchanged(ref, settings)
    assert local_images.config(local_images.ensure(ref, settings).digest, settings).cmd == ["/b"]


def test_what_is_here_stays_good_when_its_place_is_gone(tmp_path: Path, settings: Settings) -> None:
    import shutil

    ref = f"oci:{images.build(tmp_path / 'l', [LAYER], Cmd=['/a'])}"
    local_images.ensure(ref, settings)
    shutil.rmtree(tmp_path / "l")
    assert local_images.unchanged(ref, settings)
