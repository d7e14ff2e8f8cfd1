"""A Docker Engine, as far as Inferno asks one: an image is saved once for a create, and no further than is allowed.

The real one is asked in tests/rig/test_transports.py.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import base, local_images, manifest
from inferno.image.source import Access
from inferno.image.stamp import Stamp
from inferno.settings import Settings, load_settings
from inferno.spec import platform
from inferno.state.paths import Paths
from tests import images
from tests.registry import Registry

pytestmark = [pytest.mark.root, pytest.mark.slow]
REF = "docker-daemon:app:dev"
MACHINE = platform.of_host().partition("/")[2]


class Engine(ThreadingHTTPServer):
    """Has one image, in the form of `docker save` before version 25, or as `build` says; counts its saves."""

    daemon_threads = True

    def __init__(self, layer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.saves = self.sent = 0
        self.machine, self.has_it, self.is_named = MACHINE, True, True
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
            found = {"Id": self.server.id, "Os": "linux", "Architecture": self.server.machine}
            server = self.server
            has_it = server.has_it and (server.is_named or path.endswith(f"/images/{server.id[7:19]}/json"))
            status, body = (200, found) if has_it else (404, {"message": "no such image"})
            self._answer(json.dumps(body).encode(), status=status)

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
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
@pytest.mark.parametrize("transport", ["", "docker-daemon:"])
def test_an_image_may_be_called_by_the_engines_id(engine: Engine, transport: str, tmp_path: Path) -> None:
    """As `docker images -q` prints it. A name that is spelt alike comes first, as with Docker."""
    settings = load(tmp_path)
    engine.is_named = False
    ref = f"{transport}{engine.id[7:19]}"
    assert local_images.ensure(ref, settings).digest == engine.id
    assert local_images.unchanged(ref, settings)
    base.ensure(ref, settings)
    with pytest.raises(UsageError, match="has no image"):
        local_images.ensure("docker-daemon:0123456789ab", settings)


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


class OnSocket(http.server.HTTPServer):
    """The same engine, where Docker's is: on a socket of this host."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


@pytest.fixture
def on_socket(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    path = tmp_path / "docker.sock"
    with OnSocket(str(path), _Local) as server:  # type: ignore[arg-type]
        server.engine = engine  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield engine
        server.shutdown()


class _Local(_Handler):
    def setup(self) -> None:
        super().setup()
        self.server = self.server.engine  # type: ignore[attr-defined]


ANYWHERE = "127.0.0.1:1/app:dev"  # where no registry answers


def note(ref: str, settings: Settings, digest: str, config: bytes) -> None:
    """As if a registry's image had been fetched under the name."""
    folder = Paths(settings.root).image(digest)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(b"{}")
    (folder / "config.json").write_bytes(config)
    files.write_json(local_images.stamp_path(ref, settings), Stamp(ref, digest, "registry", digest)._asdict())


@pytest.mark.parametrize("where", ["tcp", "on_socket"])
@pytest.mark.parametrize("engine", [1000], indirect=True)
def test_the_engine_here_has_a_name_before_a_registry(
    where: str, engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """For a new name, and for one that a registry's image was fetched under."""
    if where == "on_socket":
        request.getfixturevalue(where)
    settings = load(tmp_path)
    note(ANYWHERE, settings, f"sha256:{'1' * 64}", b"{}")
    for policy in (local_images.MISSING, local_images.NEVER):
        assert not local_images.unchanged(ANYWHERE, settings, policy=policy)
    made = local_images.ensure(ANYWHERE, settings)
    assert (made.digest, made.place) == (engine.id, "engine")
    assert local_images.unchanged(ANYWHERE, settings)
    assert local_images.ensure("127.0.0.1:1/new:v1", settings, policy=local_images.NEVER).place == "engine"


@pytest.mark.parametrize("engine", [1000], indirect=True)
def test_a_registrys_image_stays_where_the_engine_has_the_same_or_none(engine: Engine, tmp_path: Path) -> None:
    settings = load(tmp_path)
    note(ANYWHERE, settings, f"sha256:{'1' * 64}", engine.config)
    assert local_images.unchanged(ANYWHERE, settings), "its id is that of this configuration"
    note("127.0.0.1:1/b:v1", settings, engine.id, b"{}")
    assert local_images.unchanged("127.0.0.1:1/b:v1", settings), "its id is that of this manifest"
    note("127.0.0.1:1/c:v1", settings, f"sha256:{'2' * 64}", b"{}")
    engine.has_it = False
    assert local_images.unchanged("127.0.0.1:1/c:v1", settings)
    assert not local_images.unchanged("127.0.0.1:1/c:v1", settings, policy=local_images.ALWAYS)
    pinned = f"127.0.0.1:1/c@sha256:{'2' * 64}"
    note(pinned, load(tmp_path / "other"), f"sha256:{'2' * 64}", b"{}")
    engine.has_it = True
    assert local_images.unchanged(pinned, load(tmp_path / "other"), policy=local_images.ALWAYS), "a digest never moves"


@pytest.mark.parametrize("engine", [1000], indirect=True)
def test_an_engines_image_for_another_machine_is_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    """Not passed over for a registry's image of the name; but for another platform a registry is asked."""
    settings = load(tmp_path)
    engine.machine = "s390x"
    note(ANYWHERE, settings, f"sha256:{'1' * 64}", b"{}")
    assert not local_images.unchanged(ANYWHERE, settings)
    for ref in (ANYWHERE, "127.0.0.1:1/new:v1", REF):
        with pytest.raises(UsageError, match="not made for linux/") as caught:
            local_images.ensure(ref, settings)
        assert "it is made for linux/s390x" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:1 does not answer"):
        local_images.ensure("127.0.0.1:1/new:v1", settings, Access(f"linux/{MACHINE}"))


@pytest.mark.parametrize("engine", [1000], indirect=True)
def test_pull_always_asks_the_registry_first(engine: Engine, tmp_path: Path) -> None:
    """As `docker run --pull always` does. One that says that it has none leaves the engine's; a silent one does not."""
    settings = load(tmp_path)
    with pytest.raises(UsageError, match="does not answer"):
        local_images.ensure(ANYWHERE, settings, policy=local_images.ALWAYS)
    with Registry(tmp_path / "registry") as registry:
        ref = f"{registry.host}/app:dev"
        told: list[str] = []

        def tell(what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
            told.append(what)

        made = local_images.ensure(ref, settings, policy=local_images.ALWAYS, progress=tell)
        assert (made.digest, made.place) == (engine.id, "engine")
        assert any("taking that of the Docker Engine here" in line for line in told)
        assert not local_images.unchanged(ref, settings, policy=local_images.ALWAYS)
        digest = registry.push(images.build(tmp_path / "layout", [[images.file("a")]], Cmd=["/x"]), "app:dev")
        made = local_images.ensure(ref, settings, policy=local_images.ALWAYS)
        assert (made.digest, made.place) == (digest, "registry")


def answering(path: Path, answer: bytes) -> threading.Thread:
    """What listens there once, and says this."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


OK = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense", b"HTTP/1.0 500 no\r\n\r\n{}", OK, OK + b"[]", OK + b"{", b"\xff" * 99]
)
def test_what_is_not_an_engine_is_told_and_the_registry_asked(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    thread = answering(path, answer)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    told: list[str] = []

    def tell(what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        told.append(what)

    with pytest.raises(UsageError, match=r"127\.0\.0\.1:1 does not answer"):
        local_images.ensure(ANYWHERE, load(tmp_path), progress=tell)
    thread.join()
    assert "the Docker Engine" in told[0]
    assert "\n" not in told[0]


def test_an_engine_that_is_stopped_leaves_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(tmp_path)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "socket"))
    for host in (tmp_path / "socket", tmp_path / "none"):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{host}")
        note(f"127.0.0.1:1/{host.name}:v1", settings, f"sha256:{host.name.encode().hex():0>64}", b"{}")
        assert local_images.unchanged(f"127.0.0.1:1/{host.name}:v1", settings)
        with pytest.raises(UsageError, match=r"127\.0\.0\.1:1 does not answer"):
            local_images.ensure("127.0.0.1:1/new:v1", settings)
