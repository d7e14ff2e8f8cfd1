"""The wheel is all of Inferno: it works from an environment of its own, far from any checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests import images
from tests.conftest import CHECKOUT

# pip asks the index it is configured for: for what the lock pins, unless its cache has it.
pytestmark = pytest.mark.slow
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
# The rules as a start loads them, in a network namespace of their own.
FENCE = """
from pathlib import Path
from inferno.net import nft
from inferno.state.slot import Slot
assert nft.ensure(Slot(7), Path("ruleset"))
assert nft.matches(Slot(7))
nft.remove(Slot(7))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the hatchling that runs here, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([sys.executable, *PIP, "wheel", *offline, "--wheel-dir", folder, CHECKOUT], check=True)
    [made] = folder.glob("*.whl")
    return made


class Place:
    """An environment with the wheel and what the lock pins, and an empty folder where commands are typed."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.bin, self.cwd, self.root = folder / "venv/bin", folder / "empty", folder / "root"
        self.cwd.mkdir()
        venv.create(folder / "venv", symlinks=True)
        install = [sys.executable, *PIP, "--python", self.bin / "python", "install", "--no-deps"]
        subprocess.run([*install, "--require-hashes", "-r", CHECKOUT / "requirements.lock"], check=True)
        subprocess.run([*install, "--no-index", wheel], check=True)

    def type(self, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment; nothing of the test's own environment leads to the checkout."""
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.cwd), "INFERNO_ROOT": str(self.root), **env}
        argv = [self.bin / words[0], *words[1:]]
        done = subprocess.run(argv, cwd=self.cwd, env=plain, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Place:
    return Place(tmp_path_factory.mktemp("installed"), wheel)


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {
        str(Path("inferno") / path.relative_to(CHECKOUT / top))
        for top, folder in (("inferno", "inferno"), (".", "templates"))
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("inferno/")} == wanted


def test_the_wheel_takes_no_other_names_than_ours(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert all(re.fullmatch(r"inferno.*", top) for top in tops), tops


def test_commands_that_look_work_from_an_empty_folder(place: Place) -> None:
    assert "infernoctl create" in place.type("infernoctl", "--help").stdout
    assert re.fullmatch(r"infernoctl \d\S*\n", place.type("infernoctl", "version").stdout)
    shown = place.type("infernoctl", "env").stdout
    assert re.search(r"INFERNO_SHARE_DIR\s+/usr/share/inferno\s+default", shown)
    assert str(CHECKOUT) not in shown
    place.type("infernoctl", "list")


def test_templates_come_from_the_package(place: Place) -> None:
    code = "from inferno.base import templates as t; print(t.FOLDER, len(t.source('kernel.config')))"
    folder, length = place.type("python", "-c", code).stdout.split()
    assert Path(folder).is_relative_to(place.bin.parent)
    assert int(length) == len((CHECKOUT / "templates/kernel.config").read_text())


@pytest.mark.root
def test_the_rules_are_loaded_from_the_package(place: Place) -> None:
    if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("nftables is not installed")
    subprocess.run(["unshare", "--net", place.bin / "python", "-c", FENCE], cwd=place.cwd, check=True)


@pytest.mark.root
def test_a_vm_is_created_from_the_package(place: Place, tmp_path: Path) -> None:
    layout = images.busybox(tmp_path / "layout")
    words = ("create", "web1", "--image", f"oci:{layout}", "--", "/bin/true")
    made = json.loads(place.type("infernoctl", *words, INFERNO_SHARE_DIR=str(CHECKOUT / "artifacts")).stdout)
    record = json.loads((place.root / "vms/web1/current/version.json").read_text())
    assert record["ulid"] == made["version"]
    assert {"vmlinux", "initrd.cpio", "kiln.json"} <= set(record["files"])
    assert all((place.root / "vms/web1/current" / name).exists() for name in record["files"])
