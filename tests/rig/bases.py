"""What INFERNO_ROOT/images holds once images were pulled, made on this machine: under emulation a base takes long.

It is a tar that is unpacked in the rig. The bases are compressed, so that less is to be brought in; those that tests
make in the rig are as they are by default. With the same setting the rig would make the same bytes of an image.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rig.cache import CHECKOUT, digest_of_files
from rig.machine import Rig


def recipe() -> str:
    """The digest of what makes a base of an image."""
    return digest_of_files(Path(__file__), CHECKOUT / "inferno/image/layers", CHECKOUT / "inferno/image/base.py")


def make(archive: Path, refs: Iterable[str], *, named: bool) -> None:
    """Pull images into an empty root; `named` keeps what it knows of their references, which are this machine's."""
    # pax: the times of bases are on record, to the nanosecond.
    pack = [
        "tar",
        "--format=pax",
        *([] if named else ["--exclude=images/refs", "--exclude=images/rootfs"]),
        "-cf",
        archive,
    ]
    with tempfile.TemporaryDirectory(prefix="root.", dir=archive.parent) as root:
        argv = [Path(sys.executable).with_name("infernoctl"), "images", "pull", "--quiet", *refs]
        settings = {"INFERNO_ROOT": root, "INFERNO_IMAGE_COMPRESSION": "lz4"}
        subprocess.run(argv, env={**os.environ, **settings}, check=True)
        subprocess.run([*pack, "-C", root, "images"], check=True)


def unpack(rig: Rig, archive: str) -> None:
    """Take in what `make` made; `archive` is its name in /extra."""
    rig.run(["tar", "-C", "/var/lib/inferno", "-xf", f"/extra/{archive}"])
