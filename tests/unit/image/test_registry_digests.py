"""Registries that name manifests, configurations, layers or DiffIDs by sha512, each by itself and mixed with sha256."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import base, catalog, digests, local_images, manifest, prune, registry
from inferno.settings import Settings, load_settings
from tests import images
from tests.layout_registry import LayoutRegistry

pytestmark = [pytest.mark.root, pytest.mark.slow]
INDEX = "application/vnd.oci.image.index.v1+json"
LAYERS = [[images.file("a", b"x" * 200_000), images.file("b", b"1")], [images.file("b", b"2")]]
SOME = [images.PARTS, ["layers"], ["layer"], ["layer", "diff_ids"], ["config"], ["manifest"], ["manifest", "config"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return images.build(tmp_path / "layout", LAYERS, Cmd=["/a"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path / "root")


@pytest.fixture
def served(folder: Path) -> Iterator[LayoutRegistry]:
    with LayoutRegistry({"app": folder}) as running:
        yield running


def load(root: Path, **more: str) -> Settings:
    return load_settings({"INFERNO_ROOT": str(root), "HOME": str(root.parent), **more}, root.parent / "none")


def content(folder: Path, digest: str) -> bytes:
    return (folder / "blobs" / digests.path(digest)).read_bytes()


def put_index(folder: Path, platform: dict[str, str] | None) -> None:
    """An index between the layout and its image, named by sha512."""
    [entry] = json.loads((folder / "index.json").read_text())["manifests"]
    inner = {key: entry[key] for key in ("mediaType", "digest", "size")} | ({"platform": platform} if platform else {})
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}).encode()
    path = folder / "blobs" / digests.path(digests.of(text, "sha512"))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    outer = {"mediaType": INDEX, "digest": digests.of(text, "sha512"), "size": len(text)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [outer]}))


def layers(folder: Path, digest: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(content(folder, digest))["layers"]
    return found


@pytest.mark.parametrize("parts", SOME, ids=" ".join)
def test_an_image_by_its_tag_and_by_its_digest(
    parts: list[str], folder: Path, served: LayoutRegistry, settings: Settings, tmp_path: Path
) -> None:
    digest = images.rename_digests(folder, parts=parts)
    # By its tag it is named by sha256: that is how all registries have it.
    text = content(folder, digest)
    (folder / "blobs" / digests.path(digests.of(text))).write_bytes(text)
    tagged, pinned = f"{served.host}/app:v1", f"{served.host}/app@{digest}"
    made = local_images.ensure(tagged, settings)
    assert (made.digest, made.place) == (digests.of(text), "registry")
    assert local_images.ensure(pinned, settings).digest == made.digest
    assert local_images.unchanged(pinned, settings)
    for layer in layers(folder, digest):
        assert registry.blob(settings, layer["digest"]).read_bytes() == content(folder, layer["digest"])
    other = load(tmp_path / "other")
    local_images.ensure(f"oci:{folder}", other)
    assert base.ensure(tagged, settings).read_bytes() == base.ensure(f"oci:{folder}", other).read_bytes()
    assert {catalog.find(word, settings).digest for word in (tagged, pinned, digest, made.digest)} == {made.digest}
    assert catalog.details(catalog.find(tagged, settings), settings).blob_bytes > 0
    pruned = prune.prune(settings)
    assert (pruned.images, pruned.blobs) == ([made.digest], 2)
    assert [path for path in (settings.root / "images/blobs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("parts", SOME[::3] + SOME[5:6], ids=" ".join)
@pytest.mark.parametrize("platform", [{"os": "linux", "architecture": "amd64"}, None], ids=["platform", "none"])
def test_an_image_in_an_index(
    parts: list[str], platform: dict[str, str] | None, folder: Path, served: LayoutRegistry, settings: Settings
) -> None:
    """Without a platform in the index the configuration is asked for it. The registry has nothing by another name."""
    digest = images.rename_digests(folder, parts=parts)
    put_index(folder, platform)
    ref = f"{served.host}/app:v1"
    made = local_images.ensure(ref, settings)
    assert made.digest == manifest.digest_of(content(folder, digest))
    for layer in layers(folder, digest):
        registry.blob(settings, layer["digest"]).unlink()
    assert base.ensure(ref, settings).exists(), "layers are fetched again by the name that the registry has"


def test_only_what_is_missing_is_fetched(folder: Path, settings: Settings) -> None:
    digest = images.rename_digests(folder)
    asked: list[str] = []
    with LayoutRegistry({"app": folder}, lambda _name, path: asked.append(path.rpartition("/")[2])) as served:
        local_images.ensure(f"{served.host}/app@{digest}", settings)
        lost, here = (layer["digest"] for layer in layers(folder, digest))
        registry.blob(settings, lost).unlink()
        asked.clear()
        local_images.ensure(f"{served.host}/app@{digest}", settings)
    assert lost in asked
    assert here not in asked


@pytest.mark.parametrize(
    ("part", "spoil", "says"),
    [("layer", lambda data: data[:-1] + b"?", "another blob|cannot be had"),
     ("config", lambda data: data[:-1] + b"?", "another blob|cannot be had"),
     ("layer", lambda data: data + b"more", "sends more|cannot be had"),
     ("config", lambda data: data + b"more", "sends more|cannot be had"),
     ("layer", lambda data: data[:-1], "another blob|cannot be had"),
     ("layer", None, "cannot be had"), ("config", None, "cannot be had")],
    ids=["layer", "config", "longer-layer", "longer-config", "shorter-layer", "no-layer", "no-config"],
)  # fmt: skip
def test_what_is_not_as_its_sha512_says(
    part: str, spoil: Any, says: str, folder: Path, served: LayoutRegistry, settings: Settings
) -> None:
    digest = images.rename_digests(folder)
    whole = json.loads(content(folder, digest))
    named = whole["config"] if part == "config" else whole["layers"][1]
    path = folder / "blobs" / digests.path(named["digest"])
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UsageError, match=says) as caught:
        local_images.ensure(f"{served.host}/app:v1", settings)
    assert "\n" not in caught.value.text
    assert not registry.blob(settings, named["digest"]).exists()
    assert list((settings.root / "images").glob(".fetch*")) == []


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    folder, root = tmp_path / "layout", tmp_path / "root"
    images.build(folder, [[images.file("a", os.urandom(4 << 20))]], Cmd=["/a"])
    digest = images.rename_digests(folder)
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", root], check=True)
    try:
        with LayoutRegistry({"app": folder}) as served, pytest.raises(UsageError, match="no space left on the disk"):
            local_images.ensure(f"{served.host}/app@{digest}", load(root))
        assert [path for path in root.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", root], check=True)


def test_a_layout_by_the_name_that_an_image_has_here(folder: Path, settings: Settings) -> None:
    digest = images.rename_digests(folder)
    for archive in (f"oci:{folder}", f"oci:{folder}:{images.TAG}"):
        made = local_images.ensure(f"{archive}@{digest}", settings)
        assert local_images.ensure(f"{archive}@{made.digest}", settings).digest == made.digest
    with pytest.raises(UsageError):
        local_images.ensure(f"oci:{folder}@sha256:{'0' * 64}", settings)
