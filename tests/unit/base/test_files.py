"""Files: atomic writes, locks that name their holder and leave no ghost, removal that follows nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base import files


def test_write_changes_nothing_when_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "sub/file"
    assert files.write(path, "one")
    inode = path.stat().st_ino
    assert not files.write(path, "one")
    assert path.stat().st_ino == inode
    assert files.write(path, "two", 0o400)
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["file"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        files.write(tmp_path / "file", "x")
    assert os.listdir(tmp_path) == ["file"]


def test_a_busy_lock_names_its_holder_and_is_free_after_its_death(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from inferno.base import files\n"
        "with files.lock(pathlib.Path(sys.argv[1]), 'create web1'):\n"
    )
    code += "    print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(files.BusyError, match=f"pid {holder.pid}: create web1"),
        files.lock(tmp_path / "lock", "x", wait=False),
    ):
        pass
    holder.kill()
    holder.communicate()
    with files.lock(tmp_path / "lock", "x", wait=False):
        pass
    assert not (tmp_path / "lock").exists()


def test_a_lock_excludes_though_its_file_comes_and_goes(tmp_path: Path) -> None:
    code = """
import sys, pathlib
from inferno.base import files
path = pathlib.Path(sys.argv[1])
for _ in range(200):
    with files.lock(path / "lock", "count"):
        count = int((path / "count").read_text())
        (path / "count").write_text(str(count + 1))
"""
    (tmp_path / "count").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert (tmp_path / "count").read_text() == "800"


def test_remove_tree_follows_no_symlink(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep/link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "precious")
    files.remove_tree(inside)
    assert not inside.exists()
    assert (outside / "precious").read_text() == "x"
    (tmp_path / "alias").symlink_to(outside)
    files.remove_tree(tmp_path / "alias")
    assert (outside / "precious").exists()
    files.remove_tree(tmp_path / "nothing")
