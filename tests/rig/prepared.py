"""What is made on this machine before a rig of the tests starts: the artifacts, the images, their bases."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rig.cache import CHECKOUT, cached, digest, digest_of_files
from rig.machine import Rig
from tests import images
from tests.rig import bases


def build_artifacts() -> None:
    """The rig has neither compilers nor a network: what is not built here fails there."""
    subprocess.run([CHECKOUT / ".venv/bin/doit", "artifacts"], cwd=CHECKOUT, check=True, capture_output=True)


def layouts() -> Path:
    """The folder of the images that the tests create VMs of."""
    recipe = digest_of_files(
        Path(images.__file__), *(CHECKOUT / "tools" / name for name in ("debian_image.py", "make-nginx-image"))
    )
    return cached("images", recipe, "the images of the tests", _make_images)


def _make_images(folder: Path) -> None:
    images.busybox(folder / "busybox")
    subprocess.run([CHECKOUT / "tools/make-nginx-image", folder / "nginx"], check=True, stdout=subprocess.DEVNULL)


def extra() -> Path:
    """The folder of these images with their bases: /extra in the rig. Needs the artifacts."""
    made = layouts()

    def make(folder: Path) -> None:
        for name in ("busybox", "nginx"):
            bases.make(folder / f"{name}.tar", [f"oci:{made / name}"], named=False)
            subprocess.run(["cp", "-al", made / name, folder / name], check=True)

    return cached("extra", digest(made.name, bases.recipe()), "the bases of the tests' images", make)


@contextlib.contextmanager
def rig(content: Path) -> Iterator[Rig]:
    """A rig with what `extra` made, ready to create VMs of busybox."""
    with Rig.start(extra=content) as started:
        bases.unpack(started, "busybox.tar")
        yield started
