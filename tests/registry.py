"""A real registry on this machine's loopback: Debian's docker-registry, unpacked where it is not installed.

with Registry(folder) as registry:
    registry.push(layout, "app:v1")          # then: docker://{registry.host}/app:v1
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferno" / "docker-registry"
READY_WITHIN_S = 20


def program() -> str:
    """The registry's program. Not installed here: Debian's package would start a service on every address."""
    installed = shutil.which("docker-registry")
    if installed:
        return installed
    unpacked = CACHE / "usr/bin/docker-registry"
    if not unpacked.exists():
        work = CACHE.with_name(f".docker-registry.{os.getpid()}.tmp")
        work.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "-qq", "docker-registry"], cwd=work, check=True, capture_output=True)
        [package] = work.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, work / "tree"], check=True)
        with contextlib.suppress(OSError):  # another was first
            (work / "tree").rename(CACHE)
        shutil.rmtree(work, ignore_errors=True)
    return str(unpacked)


class Registry:
    """Runs while its `with` lasts. `users` are name: password; `tls` is (certificate, key)."""

    def __init__(
        self, folder: Path, *, users: dict[str, str] | None = None, tls: tuple[Path, Path] | None = None
    ) -> None:
        self.folder = folder
        self.users = users or {}
        self.tls = tls
        self.log = folder / "log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.host = f"127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self) -> Registry:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yml").write_text(json.dumps(self._config()))  # JSON is YAML
        with self.log.open("wb") as log:
            argv = [program(), "serve", str(self.folder / "config.yml")]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def _config(self) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": self.host, "secret": "of the tests"}
        if self.tls:
            http["tls"] = {"certificate": str(self.tls[0]), "key": str(self.tls[1])}
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": http,
            "validation": {"manifests": {"urls": {"allow": ["^https?://"]}}},  # of foreign layers
        }
        if self.users:
            lines = [f"{user}:{_bcrypt(password)}" for user, password in self.users.items()]
            (self.folder / "htpasswd").write_text("\n".join(lines) + "\n")
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(self.folder / "htpasswd")}}
        return config

    def _wait(self) -> None:
        """Until it accepts connections: the registry says so nowhere."""
        for _ in range(READY_WITHIN_S * 50):
            with contextlib.suppress(OSError), socket.create_connection(tuple(self._address()), 1):
                return
            if self._process.poll() is not None:
                raise AssertionError(self.log.read_text())
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
        raise AssertionError(f"the registry does not listen:\n{self.log.read_text()}")

    def _address(self) -> Iterator[Any]:
        host, _, port = self.host.partition(":")
        yield host
        yield int(port)

    def push(self, layout: Path, name: str, *options: str) -> str:
        """Copy an OCI layout in; return the manifest's digest there."""
        target = f"docker://{self.host}/{name}"
        noted = self.folder / "digest"
        argv = ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", *options]
        argv += ["--digestfile", str(noted)]
        subprocess.run([*argv, f"oci:{layout}", target], check=True, capture_output=True)
        return noted.read_text()

    def put_manifest(self, name: str, reference: str, text: bytes, media_type: str) -> None:
        """Upload a manifest as it is."""
        url = f"http://{self.host}/v2/{name}/manifests/{reference}"
        request = urllib.request.Request(url, text, {"Content-Type": media_type}, method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    def blob_requests(self) -> int:
        """How many blobs were asked for so far."""
        return sum(1 for line in self.log.read_text().splitlines() if '"GET /v2/' in line and "/blobs/" in line)


def _bcrypt(password: str) -> str:
    """htpasswd's bcrypt form, by the openssl-free way every Debian has: perl's crypt is libxcrypt's."""
    argv = ["perl", "-e", "print crypt($ARGV[0], '$2y$05$abcdefghijklmnopqrstuu')", password]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
