"""Scratch disks: formatted once, the same bytes everywhere, copied without their holes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.disk import scratch
from inferno.disk import template as making
from inferno.disk.backend import file
from inferno.disk.need import Need
from inferno.settings import Settings, load_settings
from inferno.state.paths import VersionDir

SIZE_MB = 5120
MAKE = "from inferno.disk import template; from inferno.settings import load_settings; template.ensure(load_settings())"
pytestmark = pytest.mark.skipif(not shutil.which("mke2fs", path="/usr/sbin:/sbin"), reason="mke2fs makes templates")


def settings(root: Path, size_mb: int = SIZE_MB, **more: str) -> Settings:
    values = {"INFERNO_ROOT": str(root), "ROOTFS_SIZE_MB": str(size_mb), **more}
    return load_settings(values, env_file=Path("/nonexistent"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return making.ensure(settings(tmp_path_factory.mktemp("root")))


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_template_is_an_ext4_without_journal_and_with_nothing_left_to_do(template: Path) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    env = {"PATH": path, "LC_ALL": "C"}
    said = subprocess.run(["dumpe2fs", template], env=env, capture_output=True, text=True, check=True).stdout
    features = re.search(r"^Filesystem features:(.*)$", said, re.MULTILINE)
    assert features is not None
    words = set(features[1].split())
    assert {"ext_attr", "filetype", "extent"} <= words  # what an overlay's upper layer needs, and speed
    assert "ea_inode" in words  # a file of the base may have xattrs that fit into no block
    assert not {"has_journal", "metadata_csum", "uninit_bg"} & words
    assert "INODE_UNINIT" not in said
    subprocess.run(["e2fsck", "-fn", template], env=env, capture_output=True, check=True)
    assert template.stat().st_size == SIZE_MB << 20
    assert on_disk(template) < 4 << 20
    assert template.stat().st_mode & 0o777 == 0o444


def test_the_template_is_made_once_and_the_same_anywhere(tmp_path: Path) -> None:
    first = making.ensure(settings(tmp_path / "a", 64))
    before = first.stat()
    assert making.ensure(settings(tmp_path / "a", 64)) == first
    assert first.stat() == before
    assert digest(making.ensure(settings(tmp_path / "b", 64))) == digest(first)
    assert making.ensure(settings(tmp_path / "a", 65)) != first


def inodes(template: Path) -> int:
    with template.open("rb") as file:
        file.seek(1024)  # the super block, which begins with s_inodes_count
        return int.from_bytes(file.read(4), "little")


def test_a_template_has_room_for_400000_files_and_the_setting_for_more(template: Path, tmp_path: Path) -> None:
    assert inodes(template) == (SIZE_MB << 20) // 8192
    assert inodes(template) > 400_000
    many = making.ensure(settings(tmp_path, 64, INFERNO_SCRATCH_BYTES_PER_INODE="1024"))
    usual = making.ensure(settings(tmp_path, 64))
    assert many != usual  # another recipe is another template, in the pool too, which has its folder's name
    assert (inodes(many), inodes(usual)) == (65536, 8192)
    assert on_disk(many) < 1 << 20


def test_more_inodes_than_ext4_has_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    huge = settings(tmp_path, 16 << 20, INFERNO_SCRATCH_BYTES_PER_INODE="2048")
    with pytest.raises(UsageError, match="32 bits"):
        making.ensure(huge)
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_and_killed_ones_leave_one_template(tmp_path: Path) -> None:
    folder = making.ensure(settings(tmp_path, 64)).parent
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / ".scratch.img.tmp").write_text("of one that was killed")
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path), "ROOTFS_SIZE_MB": "64"}
    processes = [subprocess.Popen([sys.executable, "-c", MAKE], env=env) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert os.listdir(folder) == ["scratch.img"]


def need(template: Path, folder: Path) -> Need:
    return Need(VersionDir(folder), template, os.getuid(), os.getgid())


def test_a_scratch_is_a_sparse_copy_of_the_vms_own(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    root = tmp_path_factory.mktemp("root")
    wanted = need(making.ensure(settings(root, 256)), tmp_path)
    out = tmp_path / "scratch.img"
    (tmp_path / ".scratch.img.tmp").write_text("of one that was killed")
    out.write_text("of a run before")
    assert not scratch.is_made(settings(root), wanted)
    scratch.make(settings(root), wanted)
    assert scratch.is_made(settings(root), wanted)
    assert os.listdir(tmp_path) == ["scratch.img"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert on_disk(out) <= on_disk(wanted.template) + (1 << 20)
    assert digest(out) == digest(wanted.template)
    assert scratch.size(wanted.version) == 256 << 20
    for _ in range(2):
        scratch.remove(wanted.version)
        assert os.listdir(tmp_path) == []


def test_a_scratch_that_cannot_be_made_leaves_nothing(template: Path, tmp_path: Path) -> None:
    with pytest.raises(InfernoError, match="is missing"):
        file.make(settings(tmp_path), need(tmp_path / "nothing", tmp_path))
    (tmp_path / "scratch.img").mkdir()
    with pytest.raises(InfernoError, match="directory"):
        file.make(settings(tmp_path), need(template, tmp_path))
    with pytest.raises(InfernoError, match="directory"):
        scratch.remove(VersionDir(tmp_path))
    assert os.listdir(tmp_path) == ["scratch.img"]
