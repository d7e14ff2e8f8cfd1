"""Files of `docker save` before Docker 1.10: no manifest.json, and a layer for each description of an image."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import digests, manifest, reference, source
from inferno.settings import Settings, load_settings
from tests import images
from tests.images import Member, directory, file, symlink

LAYERS = [images.tar([file("a", b"content")]), images.tar([file("b")])]
ONE, TWO = LAYERS
A, B = "a" * 64, "b" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


def write(path: Path, *members: Member) -> str:
    path.write_bytes(images.tar(members))
    return f"docker-archive:{path}"


def read(ref: str, settings: Settings) -> tuple[source.Image, list[bytes]]:
    ask = source.Ask(reference.parse(ref), source.PUBLIC, settings)
    image = source.resolve(ask)
    with source.layers(ask, image) as layers:
        return image, [os.pread(layer.descriptor, layer.size, layer.offset) for layer in layers]


def v1(identity: str, layer: bytes | None, parent: Any = None, **described: Any) -> list[Member]:
    """A layer as Docker wrote it before 1.10, an image with an id of its own."""
    text = {"id": identity, "parent": parent, "architecture": "amd64", "os": "linux", "Size": 5, **described}
    text = {key: value for key, value in text.items() if value is not None}
    parts = [
        directory(identity),
        file(f"{identity}/VERSION", b"1.0"),
        file(f"{identity}/json", json.dumps(text).encode()),
    ]
    return parts if layer is None else [*parts, file(f"{identity}/layer.tar", layer)]


def repositories(**tags: str) -> Member:
    return file("repositories", json.dumps({"team/app": tags}).encode())


TOP = v1(B, TWO, A, config={"Cmd": ["/x"]})


@pytest.mark.parametrize(
    ("members", "tag", "layers"),
    [
        ([repositories(v1=B), *v1(A, ONE), *TOP], ":team/app:v1", LAYERS),
        ([repositories(v1=B), *v1(A, ONE), *TOP], "", LAYERS),
        ([repositories(v1=B, v0=A), *v1(A, ONE, config={"Cmd": ["/x"]}), *TOP], ":v0", [ONE]),
        ([*TOP, *v1(A, ONE)], "", LAYERS),
        ([repositories(v1=B), *v1(A, None), symlink(f"{A}/layer.tar", f"../{B}/layer.tar"), *TOP], ":v1", [TWO, TWO]),
    ],
    ids=["by its tag", "the only one", "a parent with a tag", "without tags", "an equal layer is a link"],
)
def test_files_of_docker_before_1_10(
    members: list[Member], tag: str, layers: list[bytes], tmp_path: Path, settings: Settings
) -> None:
    image, found = read(write(tmp_path / "image.tar", *members) + tag, settings)
    known = json.loads(image.config)
    assert (found, known["config"]["Cmd"]) == (layers, ["/x"])
    assert known["rootfs"]["diff_ids"] == [digests.of(layer) for layer in layers]
    assert not {"id", "parent", "Size"} & set(known)
    assert image.digest == manifest.digest_of(image.config)


def test_ids_of_old_dockers_do_not_name_an_image(tmp_path: Path, settings: Settings) -> None:
    """Two archives may use one id for two images: what names an image is made of its content."""
    found = [
        read(write(tmp_path / f"{word}.tar", repositories(v1=A), *v1(A, layer)), settings)[0].digest
        for word, layer in (("one", ONE), ("two", TWO))
    ]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([repositories(v1=B), *TOP], f"{A}/json is missing"),
        ([repositories(v1=A), *v1(A, None)], f"{A}/layer.tar is missing"),
        ([repositories(v1=A), *v1(A, ONE, B), *v1(B, TWO, A)], "more than 512 layers"),
        ([repositories(v1=A), *v1(A, ONE, A)], "more than 512 layers"),
        ([repositories(v1=A), *v1(A, ONE, B, comment="x" * (3 << 20)), *v1(B, ONE, comment="x" * (3 << 20))], "layers"),
        ([*v1(A, ONE, comment="x" * (3 << 20)), *v1(B, ONE, comment="x" * (3 << 20))], "more than 4194304 bytes"),
        ([repositories(v1=A), file(f"{A}/json", b"[]"), file(f"{A}/layer.tar", ONE)], "is not a JSON object"),
        ([file("repositories", b"{"), *v1(A, ONE)], "is not a JSON object"),
        ([repositories(v1="../x"), file("x/json", b"{}")], "manifest.json is missing"),
        ([repositories(v1=A, v2=B), *v1(A, ONE), *v1(B, TWO)], "holds several images"),
        ([file("repositories", b'{"app": ["v1"], "b": {"v1": 5}}')], "manifest.json is missing"),
        ([directory("etc"), file("etc/passwd")], "manifest.json is missing"),
    ],
    ids=[
        "parent",
        "layer",
        "circle",
        "itself",
        "long",
        "long-tips",
        "list",
        "text",
        "path",
        "several",
        "odd",
        "export",
    ],
)
def test_damaged_files_of_docker_before_1_10(
    members: list[Member], says: str, tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(UsageError, match=says):
        read(write(tmp_path / "image.tar", *members), settings)
