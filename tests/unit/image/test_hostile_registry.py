"""A registry that lies about what it sends, or never stops: one error, and nothing of it on the disk. One that is only
overloaded or cut off for a moment is asked again."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.image import digests, local_images, skopeo
from inferno.image.manifest import digest_of
from inferno.image.source import NotThereError
from inferno.settings import Settings, load_settings

pytestmark = [pytest.mark.root, pytest.mark.slow]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": {}})
LAYER = b"no archive, but whole"
LONG = digests.of(LAYER, "sha512")
ENDLESS_BYTES = 400 << 20  # more than is ever taken; a test that fails should not fill a disk
PIECE = bytes(1 << 16)
CUT = 0


class Hostile(ThreadingHTTPServer):
    """Serves one image. `bodies` are by the last part of the path; one that is None has no end."""

    daemon_threads = True

    def __init__(self, bodies: dict[str, bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies, self.sent = bodies, 0
        # By the last part of the path: statuses to answer with first, CUT for half of an answer.
        self.faults: dict[str, list[int]] = {}
        self.pages: dict[int, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hostile

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        last = self.path.rpartition("/")[2]
        body = self.server.bodies.get(last, b"{}")
        faults = self.server.faults.get(last, [])
        fault = faults.pop(0) if faults else 200 if last != "_ping" else 404  # which is of registries of version 1
        if fault not in (200, CUT):
            self._fail(fault)
            return
        self.send_response(200)
        self.send_header("Content-Type", MANIFEST if "/manifests/" in self.path else "application/octet-stream")
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == CUT else body)
            self.close_connection = fault == CUT
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while self.server.sent < ENDLESS_BYTES:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
                self.server.sent += len(PIECE)
        except OSError:
            self.close_connection = True

    def _fail(self, status: int) -> None:
        page = self.server.pages.get(status, b"")
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


def described(data: bytes, **other: Any) -> dict[str, Any]:
    return {"mediaType": "application/octet-stream", "digest": digest_of(data), "size": len(data), **other}


def manifest(**layer: Any) -> bytes:
    whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG.encode())}
    return json.dumps({**whole, "layers": [described(LAYER, **layer)]}).encode()


def served(**bodies: bytes | None) -> dict[str, bytes | None]:
    whole = {"manifest": manifest(), "config": CONFIG.encode(), "layer": LAYER, **bodies}
    names = {"manifest": "v1", "config": digest_of(CONFIG.encode()), "layer": digest_of(LAYER)}
    text = whole["manifest"]
    again = {digest_of(text): text} if text else {}
    return {**{names[part]: body for part, body in whole.items()}, **again}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


@pytest.fixture
def hostile(request: pytest.FixtureRequest) -> Iterator[Hostile]:
    with Hostile(request.param) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("hostile", "says"),
    [
        (served(manifest=None), "cannot be had"),
        (served(manifest=b"[" * 100_000), "cannot be had|not JSON"),
        (served(config=None), "cannot be had"),
        (served(config=CONFIG.encode() + b" " * (50 << 20)), "cannot be had"),
        (served(config=CONFIG.encode() + b" "), "cannot be had"),
        (served(layer=None), "sends more of .* than its manifest says"),
        (served(layer=LAYER[:-1] + b"?"), "cannot be had"),
        (served(layer=LAYER + b"more"), "cannot be had"),
        (served(manifest=manifest(size=1 << 49)), "are allowed"),
        (served(manifest=manifest(size=len(LAYER) + 1)), "lies about the size"),
        ({**served(manifest=manifest(digest=LONG)), LONG: None}, "sends more of blob sha512:.* than the manifest says"),
    ],
    indirect=["hostile"],
    ids=["endless-manifest", "deep-manifest", "endless-config", "50-MiB-config", "other-config", "endless-layer",
         "other-layer", "longer-layer", "huge-size", "wrong-size", "endless-sha512-layer"],
)  # fmt: skip
def test_lies_of_a_registry_are_one_error(hostile: Hostile, says: str, settings: Settings) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        local_images.ensure(f"docker://127.0.0.1:{hostile.server_port}/app:v1", settings)
    assert "\n" not in caught.value.text
    assert hostile.sent < ENDLESS_BYTES // 2
    left = [path for path in settings.root.rglob("*") if path.is_file()]
    assert left == [], left


@pytest.mark.parametrize("hostile", [served()], indirect=True)
def test_the_same_registry_without_lies_is_believed(hostile: Hostile, settings: Settings) -> None:
    assert local_images.ensure(f"docker://127.0.0.1:{hostile.server_port}/app:v1", settings).digest == digest_of(
        manifest()
    )


PARTS = {"registry": "", "manifest": "v1", "configuration": digest_of(CONFIG.encode()), "layer": digest_of(LAYER)}


@pytest.mark.parametrize("hostile", [served()], indirect=True)
@pytest.mark.parametrize(
    ("part", "faults"),
    [("registry", [503]), ("manifest", [CUT, 504]), ("configuration", [500]), ("layer", [CUT, 502])],
)
def test_what_fails_for_a_moment_is_asked_for_again(
    part: str, faults: list[int], hostile: Hostile, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skopeo, "PAUSES_S", (0, 0))
    hostile.faults = {PARTS[part]: [*faults]}
    told: list[str] = []
    ref = f"docker://127.0.0.1:{hostile.server_port}/app:v1"
    found = local_images.ensure(ref, settings, progress=lambda what, *_, **__: told.append(what))
    assert found.digest == digest_of(manifest())
    assert hostile.faults == {PARTS[part]: []}
    assert len([line for line in told if "asking again" in line]) == len(faults)


@pytest.mark.parametrize("hostile", [served()], indirect=True)
@pytest.mark.parametrize("part", ["manifest", "layer"])
def test_what_goes_on_failing_is_one_error(
    part: str, hostile: Hostile, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skopeo, "PAUSES_S", (0, 0))
    hostile.faults = {PARTS[part]: [503] * 9}
    with pytest.raises(UsageError, match="503"):
        local_images.ensure(f"docker://127.0.0.1:{hostile.server_port}/app:v1", settings)
    assert len(hostile.faults[PARTS[part]]) == 6
    assert [path for path in settings.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("hostile", [served()], indirect=True)
@pytest.mark.parametrize("page", [b"", b"<html>not found</html>"])
def test_a_page_that_says_404_says_that_there_is_no_image(page: bytes, hostile: Hostile, settings: Settings) -> None:
    hostile.faults, hostile.pages = {"v1": [404]}, {404: page}
    with pytest.raises(NotThereError, match="has no image"):
        local_images.ensure(f"docker://127.0.0.1:{hostile.server_port}/app:v1", settings)


@pytest.mark.parametrize("hostile", [served()], indirect=True)
@pytest.mark.parametrize("writes", ["$folder/oci-put-blob$n", "$blobs/$digest"], ids=["unfinished", "finished"])
def test_a_fetch_that_writes_more_than_all_layers_is_ended(
    writes: str, hostile: Hostile, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file within the limit for one, but many of them: by a stand-in for skopeo's fetch, which would never end."""
    program = tmp_path / "bin/skopeo"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh -e
        case " $* " in *" copy "*) ;; *) exec {shutil.which("skopeo")} "$@";; esac
        for last; do :; done
        folder=${{last#oci:}} folder=${{folder%:image}} blobs={settings.root}/images/blobs/sha256
        digest={digest_of(LAYER).removeprefix("sha256:")}
        mkdir -p "$blobs"
        for n in 1 2 3; do truncate -s 8000000 "{writes}"; done
        exec sleep infinity
        """
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(UsageError, match=r"sends more of .* than its manifest says"):
        local_images.ensure(f"docker://127.0.0.1:{hostile.server_port}/app:v1", settings)
    left = [path for path in settings.root.rglob("*") if path.is_file()]
    assert left == [], left
