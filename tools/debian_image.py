"""Images of Debian's own packages, from this machine's mirror, as one would by a Dockerfile; no registry is asked.

    tar = file_system(work / "root.tar", ["nginx"])
    layout(folder, {"latest": Image([tar], {"Cmd": ["nginx"]})})

The same packages give the same bytes. Needs root and mmdebstrap.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a server does not need. dpkg's own records go too: nothing is ever installed in these images.
NOT_NEEDED = [
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*"),
    *("/usr/share/bash-completion/*", "/usr/share/common-licenses/*", "/usr/share/zoneinfo/*", "/usr/lib/*/gconv/*"),
]
REMOVED = (
    "var/lib/apt var/cache/apt var/cache/debconf var/lib/dpkg var/log/*.log var/log/apt usr/lib/apt usr/lib/*/perl-base"
)
_MEDIA = "application/vnd.oci.image"


@dataclass(frozen=True)
class Image:
    """`layers` are tar archives from the lowest up, `process` is Docker's configuration (Cmd, Env, User, …)."""

    layers: Sequence[Path]
    process: Mapping[str, object]


def debian() -> tuple[str, str]:
    """The suite of this machine, and the mirror that its apt asks."""
    words = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Label: Debian", "Created-By: Packages"]
    for line in subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines():
        suite, mirror = line.split()
        if "-" not in suite:
            return suite, mirror
    sys.exit("apt has no Debian mirror configured")


def file_system(tar: Path, packages: Sequence[str], hooks: Sequence[str] = (), *, not_needed: str = "") -> Path:
    """A Debian with some packages, as a tar archive. Shell `hooks` have its folder in $1; `not_needed` paths go."""
    suite, mirror = debian()
    removal = f'cd "$1" && rm -rf {REMOVED} {not_needed} && mkdir -p var/lib/dpkg'
    options = ["--variant=essential", "--mode=root", f"--include={','.join(packages)}"]
    options += ["--aptopt=APT::Install-Recommends 0", *(f"--dpkgopt=path-exclude={path}" for path in NOT_NEEDED)]
    options += [f"--customize-hook={hook}" for hook in (removal, *hooks)]
    # In a mount namespace of its own, a kill leaves nothing mounted.
    alone = ["unshare", "--mount", "--propagation", "private"]
    words = [*alone, "mmdebstrap", "--quiet", *options, suite, str(tar), f"deb {mirror} {suite} main"]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1"}
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}mmdebstrap ended with {done.returncode}")
    return tar


def layout(folder: Path, images: Mapping[str, Image]) -> None:
    """An OCI layout of images by their tags; a layer that several have is in it once."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    packed: dict[Path, dict[str, object]] = {}
    manifests = []
    for tag, image in images.items():
        for tar in image.layers:
            if tar not in packed:
                packed[tar] = _layer(blobs, tar)
        manifest = _manifest(blobs, image, [packed[tar] for tar in image.layers])
        manifests.append({**manifest, "annotations": {"org.opencontainers.image.ref.name": tag}})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _layer(blobs: Path, tar: Path) -> dict[str, object]:
    packed = blobs / "layer"
    with tar.open("rb") as source, packed.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return _named(packed, f"{_MEDIA}.layer.v1.tar+gzip")


def _manifest(blobs: Path, image: Image, layers: list[dict[str, object]]) -> dict[str, object]:
    whole = {
        "architecture": "amd64",
        "os": "linux",
        "created": datetime.datetime.fromtimestamp(1, datetime.UTC).isoformat(),
        "config": image.process,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(tar)}" for tar in image.layers]},
    }
    config = _put(blobs, f"{_MEDIA}.config.v1+json", whole)
    kind = f"{_MEDIA}.manifest.v1+json"
    return _put(blobs, kind, {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers})


def _put(blobs: Path, kind: str, value: object) -> dict[str, object]:
    path = blobs / "json"
    path.write_text(json.dumps(value))
    return _named(path, kind)


def _named(blob: Path, kind: str) -> dict[str, object]:
    """Give a blob its digest for a name; return its descriptor."""
    final = blob.rename(blob.with_name(_digest(blob)))
    return {"mediaType": kind, "digest": f"sha256:{final.name}", "size": final.stat().st_size}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
