"""An image whose process is systemd, of Debian's packages, as images for containers are made; and its base.

The base is made on this machine: under emulation that takes half a minute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rig.cache import cached, digest, digest_of_files
from tests.rig import bases
from tools import debian_image
from tools.debian_image import PATH, Image

UNIT = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/echo hello from a unit
StandardOutput=journal+console
"""
HOOKS = [
    # Of what systemd starts for machines only the files of /run and /tmp: the rest takes a minute under emulation.
    'cd "$1/lib/systemd/system" && find sysinit.target.wants multi-user.target.wants local-fs.target.wants -type l '
    "! -name systemd-tmpfiles-setup.service -delete",
    'cd "$1/etc" && rm -rf systemd/system/*.wants fstab && : > machine-id',
    f"""printf %s '{UNIT}' > "$1/etc/systemd/system/hello.service" """,
    'mkdir "$1/etc/systemd/system/multi-user.target.wants"',
    'ln -s ../hello.service "$1/etc/systemd/system/multi-user.target.wants/"',
]
PROCESS = {"Cmd": ["/sbin/init"], "Env": [PATH]}


def ref() -> str:
    """The image: an OCI layout of it."""
    recipe = digest_of_files(Path(__file__), Path(debian_image.__file__))
    return f"oci:{cached('systemd', recipe, 'an image with systemd', _make_layout) / 'layout'}:latest"


def pulled() -> Path:
    """A folder with images.tar: what INFERNO_ROOT/images holds once it was pulled."""
    return cached("systemd-base", digest(ref(), bases.recipe()), "the base of systemd's image", _make_bases)


def _make_layout(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="systemd.", dir=folder) as work:
        tar = debian_image.file_system(Path(work, "root.tar"), ["systemd", "systemd-sysv"], HOOKS)
        debian_image.layout(folder / "layout", {"latest": Image([tar], PROCESS)})


def _make_bases(folder: Path) -> None:
    bases.make(folder / "images.tar", [ref()], named=True)
