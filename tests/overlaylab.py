"""A guest's root without a VM: an EROFS of some members below, a scratch above, mounted here as init mounts them."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from inferno.disk import template
from inferno.image import base, local_images
from inferno.settings import Settings, load_settings
from rig.cache import CHECKOUT
from tests import images, stack_judges
from tests.images import Member


def options() -> str:
    """Those of guest/src/root.rs, but for the folders."""
    found = re.search(r"^(redirect_dir=\S+)\";$", (CHECKOUT / "guest/src/root.rs").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def settings(folder: Path, **more: str) -> Settings:
    values = {"INFERNO_ROOT": str(folder / "root"), "HOME": str(folder), "ROOTFS_SIZE_MB": "64", **more}
    return load_settings(values, folder / "none")


def make_base(folder: Path, layers: Sequence[Sequence[Member]]) -> Path:
    """The base of an image of these layers."""
    layout = images.build(folder / "layout", layers, Cmd=["/x"])
    local_images.ensure(f"oci:{layout}", settings(folder))
    return base.ensure(f"oci:{layout}", settings(folder))


@contextlib.contextmanager
def mounted(folder: Path, made: Path) -> Iterator[Path]:
    """The base and a scratch of its own as a guest has them. Needs root, and these file systems in this kernel."""
    if lacks := stack_judges.lacking():
        pytest.skip(lacks)
    scratch = folder / "scratch.img"
    scratch.write_bytes(template.ensure(settings(folder)).read_bytes())
    lower, disk, root = (folder / name for name in ("lower", "disk", "merged"))
    with contextlib.ExitStack() as held:
        for what, where, words in (
            (made, lower, ["-t", "erofs", "-o", "ro,loop"]),
            (scratch, disk, ["-t", "ext4", "-o", "loop,noatime"]),
        ):
            where.mkdir()
            subprocess.run(["mount", *words, what, where], check=True)
            held.callback(subprocess.run, ["umount", where], check=True)
        upper, work = disk / "upper", disk / "work"
        upper.mkdir()
        work.mkdir()
        root.mkdir()
        said = f"lowerdir={lower},upperdir={upper},workdir={work},{options()}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", said, root], check=True)
        held.callback(subprocess.run, ["umount", root], check=True)
        yield root
