"""What INFERNO_ROOT/images holds once images were pulled, made on this machine: under emulation a base takes long.

It is a tar that is unpacked in the rig. The bytes are those that the rig would make: the same image, the same base.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.rig.cache import CHECKOUT, digest_of_files


def recipe() -> str:
    """The digest of what makes a base of an image."""
    return digest_of_files(CHECKOUT / "inferno/layers", CHECKOUT / "inferno/image/base.py")


def make(archive: Path, refs: Iterable[str], *, named: bool) -> None:
    """Pull images into an empty root; `named` keeps what it knows of their references, which are this machine's."""
    # pax: the times of bases are on record, to the nanosecond.
    pack = ["tar", "--format=pax", *([] if named else ["--exclude=images/refs"]), "-cf", archive]
    with tempfile.TemporaryDirectory(prefix="root.", dir=archive.parent) as root:
        argv = [Path(sys.executable).with_name("infernoctl"), "images", "pull", "--quiet", *refs]
        subprocess.run(argv, env={**os.environ, "INFERNO_ROOT": root}, check=True)
        subprocess.run([*pack, "-C", root, "images"], check=True)
