"""What the rig's tests share: one rig per file, the images in it, and commands typed there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images
from tests.rig import bases
from tests.rig.cache import CHECKOUT, cached, digest, digest_of_files
from tests.rig.machine import Rig
from tests.rig.typed import Host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.rig)


@pytest.fixture(scope="session")
def layouts() -> Path:
    """The images that the tests create VMs of, made on this machine."""
    recipe = digest_of_files(
        Path(images.__file__), *(CHECKOUT / "tools" / name for name in ("debian_image.py", "make-nginx-image"))
    )
    return cached("images", recipe, "the images of the tests", _make_images)


def _make_images(folder: Path) -> None:
    images.busybox(folder / "busybox")
    subprocess.run([CHECKOUT / "tools/make-nginx-image", folder / "nginx"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def extra(layouts: Path, built: None) -> Path:
    """The images with their bases: /extra in the rig."""

    def make(folder: Path) -> None:
        for name in ("busybox", "nginx"):
            bases.make(folder / f"{name}.tar", [f"oci:{layouts / name}"], named=False)
            subprocess.run(["cp", "-al", layouts / name, folder / name], check=True)

    return cached("extra", digest(layouts.name, bases.recipe()), "the bases of the tests' images", make)


@pytest.fixture(scope="session")
def built() -> None:
    """The rig has neither compilers nor a network: what is not built here fails there."""
    subprocess.run([CHECKOUT / ".venv/bin/doit", "artifacts"], cwd=CHECKOUT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def rig(extra: Path) -> Iterator[Rig]:
    with Rig.start(extra=extra) as rig:
        bases.unpack(rig, "busybox.tar")
        yield rig


@pytest.fixture(scope="module")
def host(rig: Rig) -> Host:
    return Host(rig)
