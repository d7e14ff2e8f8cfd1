"""Wherever a checkout lies: here in a folder that only root may enter, with a space and an umlaut in its name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests import images
from tests.conftest import CHECKOUT

BIN = Path(sys.executable).parent
PARTS = ("artifacts", "guest", "inferno", "kiln", "tasks", "templates")
# Typed twice: what is loaded while the process is root's need not be found again.
AS_SOMEBODY_ELSE = """
import os, sys
from inferno.cli.main import main
os.environ["INFERNO_ROOT"] = "/nowhere"
main(["list"])
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main(["list"]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkout and an image in it."""
    place = tmp_path_factory.mktemp("place") / "mein Büro, 100 %"
    place.mkdir(mode=0o700)
    for name in PARTS:
        leave_out = shutil.ignore_patterns("__pycache__", "target")
        shutil.copytree(CHECKOUT / name, place / "inferno" / name, symlinks=True, ignore=leave_out)
    for path in CHECKOUT.glob("*.toml"):
        shutil.copy2(path, place / "inferno")
    for name in ("Cargo.lock", "dodo.py"):
        shutil.copy2(CHECKOUT / name, place / "inferno")
    images.busybox(place / "image")
    return place


def typed(place: Path, *words: str | Path, cwd: str = ".") -> subprocess.CompletedProcess[str]:
    """Run a program there, in the plainest of locales, with an INFERNO_ROOT there."""
    env = {**os.environ, "PYTHONPATH": str(place / "inferno"), "INFERNO_ROOT": str(place / "root"), "LC_ALL": "C"}
    return subprocess.run(
        words, cwd=place / cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False
    )


def test_the_venv_starts_in_any_locale() -> None:
    """Python 3.11 reads a .pth in the locale's encoding: in C it would not start where one names such a folder."""
    for pth in Path(sysconfig.get_path("purelib")).glob("*.pth"):
        assert str(CHECKOUT) not in pth.read_text(), pth


def test_programs_of_the_checkout_say_where_they_are(place: Path) -> None:
    assert "create " in typed(place, BIN / "doit", "list", cwd="inferno").stdout
    assert "create " in typed(place, BIN / "infernoctl", "task", "list").stdout
    assert "infernoctl create" in typed(place, BIN / "infernoctl", "--help").stdout
    shown = typed(place, BIN / "infernoctl", "env").stdout
    assert f"{place}/inferno/artifacts" in shown
    assert f"{place}/root" in shown


@pytest.mark.root
def test_create_makes_a_version_there(place: Path) -> None:
    done = typed(place, BIN / "infernoctl", "create", "web1", "--image", f"oci:{place}/image")
    assert done.returncode == 0, done.stderr
    assert (place / "root/vms/web1/current/rootfs.img").stat().st_size > 0


@pytest.mark.root
def test_a_process_that_gave_up_root_does_not_look_for_the_checkout_any_more(place: Path) -> None:
    done = typed(place, sys.executable, "-c", AS_SOMEBODY_ELSE)
    assert done.returncode == 0, done.stderr
    assert "there are no VMs under /nowhere" in done.stderr
