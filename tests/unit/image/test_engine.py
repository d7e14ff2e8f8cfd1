"""A Docker Engine, as far as Inferno asks one: an image is saved once for a create, and no further than is allowed.

The real one is asked in tests/rig/test_transports.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import base, local_images, manifest
from inferno.settings import Settings, load_settings
from inferno.spec import platform
from inferno.state.paths import Paths
from tests import images

pytestmark = [pytest.mark.root, pytest.mark.slow]
REF = "docker-daemon:app:dev"
MACHINE = platform.of_host().partition("/")[2]


class Engine(ThreadingHTTPServer):
    """Has one image, in the form of `docker save` before version 25, or as `build` says; counts its saves."""

    daemon_threads = True

    def __init__(self, layer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.saves = self.sent = 0
        diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
        inner = {"architecture": MACHINE, "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": {"diff_ids": diff_ids}}
        self.config = json.dumps(inner).encode()
        self.id = manifest.digest_of(self.config)
        named = f"{self.id.removeprefix('sha256:')}.json"
        entry = {"Config": named, "RepoTags": ["app:dev"], "Layers": ["one/layer.tar"]}
        self._save({"one/layer.tar": layer, named: self.config, "manifest.json": json.dumps([entry]).encode()})

    def build(self, layout: Path, note: str) -> str:
        """As BuildKit and containerd's store have the image of a layout: under an index, with a note of the build.

        Returns the manifest's digest.
        """
        blobs = layout / "blobs/sha256"
        image = json.loads((layout / "index.json").read_text())["manifests"][0]
        inner = json.loads((blobs / image["digest"][7:]).read_text())
        unknown = {"platform": {"os": "unknown", "architecture": "unknown"}}
        noted = images.put(blobs, json.dumps({"built": note}).encode(), image["mediaType"]) | unknown
        here = image | {"platform": {"os": "linux", "architecture": MACHINE}}
        index = {"schemaVersion": 2, "manifests": [here, noted]}
        top = images.put(blobs, json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
        config, *layers = (f"blobs/sha256/{part['digest'][7:]}" for part in (inner["config"], *inner["layers"]))
        entry = {"Config": config, "RepoTags": ["app:dev"], "Layers": layers}
        parts = {f"blobs/sha256/{path.name}": path.read_bytes() for path in blobs.iterdir()}
        self._save({**parts, "manifest.json": json.dumps([entry]).encode()})
        self.id = top["digest"]
        return str(image["digest"])

    def _save(self, parts: dict[str, bytes]) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, data in parts.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        self.archive = out.getvalue()


class _Handler(BaseHTTPRequestHandler):
    server: Engine

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/get"):
            self.server.saves += 1
            self._answer(self.server.archive, "application/x-tar")
        elif path.endswith("/version"):
            self._answer(b'{"ApiVersion": "1.41"}')
        else:
            found = {"Id": self.server.id, "Os": "linux", "Architecture": MACHINE}
            self._answer(json.dumps(found).encode())

    def _answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with Engine(images.tar([images.file("a", os.urandom(request.param))])) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


def load(tmp_path: Path, **more: str) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path), **more}, tmp_path / "none")


@pytest.mark.parametrize("engine", [100_000], indirect=True)
def test_an_image_is_saved_once_for_both_steps_and_again_for_a_lost_base(engine: Engine, tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert local_images.ensure(REF, settings).digest == engine.id
    made = base.ensure(REF, settings)
    assert engine.saves == 1
    kept = {path.name for path in Paths(settings.root).image(engine.id).iterdir()}
    assert kept == {"manifest.json", "config.json", "rootfs.erofs", "base.json"}, "what was saved is gone"
    content = made.read_bytes()
    made.unlink()
    assert base.ensure(REF, settings).read_bytes() == content
    assert engine.saves == 2


@pytest.mark.parametrize("engine", [100_000], indirect=True)
def test_what_is_kept_of_an_image_is_checked_again(engine: Engine, tmp_path: Path) -> None:
    settings = load(tmp_path)
    local_images.ensure(REF, settings)
    kept = Paths(settings.root).image(engine.id) / "saved.tar"
    damaged = bytearray(kept.read_bytes())
    damaged[damaged.index(engine.archive[1024:1100])] ^= 1
    kept.write_bytes(damaged)
    with pytest.raises(UsageError, match=r"damaged|no archive"):
        base.ensure(REF, settings)
    base.ensure(REF, settings)
    assert engine.saves == 2


@pytest.mark.parametrize("engine", [3 << 20], indirect=True)
def test_no_more_is_saved_than_an_image_may_have(engine: Engine, tmp_path: Path) -> None:
    settings = load(tmp_path, INFERNO_IMAGE_MAX_MB="2")
    with pytest.raises(UsageError, match="is larger than 2 MiB"):
        local_images.ensure(REF, settings)
    assert [path for path in settings.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("engine", [10], indirect=True)
def test_an_image_built_again_of_the_same_is_the_same_image(engine: Engine, tmp_path: Path) -> None:
    """BuildKit notes when it built, so the engine's id is another each time; the image's own manifest is not."""
    settings = load(tmp_path)
    layout = images.build(tmp_path / "layout", [[images.file("a", b"content")]], Cmd=["/x"])
    digest = engine.build(layout, "at one")
    before = engine.id
    assert local_images.ensure(REF, settings).digest == digest
    made = base.ensure(REF, settings)
    assert (local_images.unchanged(REF, settings), engine.saves) == (True, 1)
    assert engine.build(layout, "at two") == digest
    assert engine.id != before
    assert not local_images.unchanged(REF, settings)
    assert local_images.ensure(REF, settings).digest == digest
    assert base.is_intact(digest, settings)
    assert not (made.parent / "saved.tar").exists()
    assert (local_images.unchanged(REF, settings), engine.saves) == (True, 2)
    local_images.ensure(REF, settings, policy=local_images.ALWAYS)
    made.unlink()
    base.ensure(REF, settings)
    assert engine.saves == 3, "it was looked at by its id, and saved for the lost base"
