"""Trees an attacker made are deleted whole, and nothing but them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.sandbox import removal

# Deeper than recursion goes, longer than a path may be, more than one process may have open.
LEVELS = 3000
BIND = """
import sys
from pathlib import Path
from inferno.sandbox import removal
from inferno.base.errors import InfernoError
try:
    removal.remove(Path(sys.argv[1]), "root")
except InfernoError as error:
    print(error.text)
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no deletion may reach."""
    folder = tmp_path / "etc"
    (folder / "ssh").mkdir(parents=True)
    (folder / "passwd").write_text("root")
    (folder / "ssh/key").write_text("secret")
    return folder


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    folder = tmp_path / "version"
    (folder / "root").mkdir(parents=True)
    (folder / "version.json").write_text("{}")
    return folder


def unharmed(outside: Path) -> bool:
    return (outside / "passwd").read_text() == "root" and (outside / "ssh/key").read_text() == "secret"


def test_nothing_there_is_fine(parent: Path) -> None:
    removal.remove(parent, "never")
    removal.remove(parent / "nowhere", "root")
    assert sorted(os.listdir(parent)) == ["root", "version.json"]


def test_symlinks_are_deleted_not_followed(parent: Path, outside: Path) -> None:
    root = parent / "root"
    (root / "dev").symlink_to(outside)
    (root / "exit_status.json").symlink_to(outside / "passwd")
    (root / "up").symlink_to("../../..")
    (root / "loop").symlink_to("loop")
    (root / "a").mkdir()
    (root / "a/etc").symlink_to(outside, target_is_directory=True)
    os.link(outside / "passwd", root / "hard")
    removal.remove(parent, "root")
    assert os.listdir(parent) == ["version.json"]
    assert unharmed(outside)


def test_a_symlink_in_the_place_of_the_tree_is_deleted_itself(parent: Path, outside: Path) -> None:
    (parent / "root").rmdir()
    (parent / "root").symlink_to(outside)
    removal.remove(parent, "root")
    assert os.listdir(parent) == ["version.json"]
    assert unharmed(outside)


def test_every_kind_of_entry_and_name_goes(parent: Path) -> None:
    root = parent / "root"
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{root}/sock")
    for name in (b"\xff\xfe", b"-rf", b"new\nline", b" ", b"x" * 255, b"..."):
        (Path(os.fsdecode(os.fsencode(root) + b"/" + name))).write_bytes(b"")
    for number in range(300):
        (root / f"d{number}/e").mkdir(parents=True)
        (root / f"d{number}/e/f").write_text("")
    removal.remove(parent, "root")
    assert os.listdir(parent) == ["version.json"]


def test_depth_costs_nothing(parent: Path) -> None:
    here = os.open(parent / "root", os.O_RDONLY)
    for level in range(LEVELS):
        os.mkdir("deep", dir_fd=here)
        os.close(os.open(f"file{level}", os.O_CREAT, dir_fd=here))
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    removal.remove(parent, "root")
    assert os.listdir(parent) == ["version.json"]


def test_what_a_kill_left_is_finished_by_the_next_call(parent: Path) -> None:
    (parent / ".gone/9f/inner").mkdir(parents=True)
    (parent / ".gone/9f/inner/file").write_text("")
    (parent / "root").rmdir()
    removal.remove(parent, "root")
    assert os.listdir(parent) == ["version.json"]


@pytest.mark.root
def test_directories_nobody_may_enter_go_too(parent: Path) -> None:
    root = parent / "root"
    (root / "closed/inner").mkdir(parents=True)
    (root / "closed/inner/file").write_text("")
    for path in (root / "closed/inner", root / "closed", root):
        os.chown(path, 805_555, 805_555)
        path.chmod(0)
    removal.remove(parent, "root")
    assert os.listdir(parent) == ["version.json"]


@pytest.mark.root
@pytest.mark.parametrize("target", ["root/a/b", "root", "root/file"])
def test_what_is_mounted_inside_is_not_reached(parent: Path, outside: Path, target: str) -> None:
    """A bind mount of the same file system, which no device number gives away."""
    (parent / "root/a/b").mkdir(parents=True)
    (parent / "root/file").write_text("")
    source = outside / "passwd" if target.endswith("file") else outside
    script = 'mount --make-rprivate / && mount --bind "$1" "$2" && exec "$3" -c "$4" "$5"'
    words = [str(source), str(parent / target), sys.executable, BIND, str(parent)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *words], capture_output=True, text=True, check=True
    )
    assert "something is mounted in it" in done.stdout
    assert unharmed(outside)
    removal.remove(parent, "root")  # outside of that namespace nothing is mounted
    assert os.listdir(parent) == ["version.json"]
    assert unharmed(outside)


def test_a_failure_is_one_line(parent: Path) -> None:
    (parent / "root").rmdir()
    (parent / ".gone").write_text("in the way")
    (parent / "root").mkdir()
    with pytest.raises(InfernoError, match="cannot be removed"):
        removal.remove(parent, "root")
