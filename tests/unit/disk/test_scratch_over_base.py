"""What a guest can do with the files of its base: everything is copied into the scratch first, with all that it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import overlaylab
from tests.images import directory, file, hard_link, symlink

pytestmark = pytest.mark.root
XATTR = "SCHILY.xattr."
LAYER = [
    directory("d"), directory("d/below"), file("d/f", b"1"), file("large", bytes(9 << 20)), file("one", b"1"),
    hard_link("two", "one"), symlink("link", "one"), file("big", b"1", pax={f"{XATTR}user.big": "a" * 8000}),
    directory("bigs", pax={f"{XATTR}user.a": "a" * 20_000, f"{XATTR}user.b": "b" * 10_000}),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("overlay")
    with overlaylab.mounted(folder, overlaylab.make_base(folder, [LAYER])) as root:
        yield root


def test_a_folder_of_the_base_is_renamed_and_stays_the_same(root: Path) -> None:
    before = (root / "d").stat().st_ino
    os.rename(root / "d", root / "e")
    assert (root / "e").stat().st_ino == before
    assert sorted(os.listdir(root / "e")) == ["below", "f"]


def test_files_with_large_attributes_can_be_changed(root: Path) -> None:
    with (root / "big").open("a") as big:
        big.write("2")
    assert len(os.getxattr(root / "big", "user.big")) == 8000
    (root / "bigs/new").touch()
    assert [len(os.getxattr(root / "bigs", f"user.{name}")) for name in "ab"] == [20_000, 10_000]


def test_hard_links_of_the_base_stay_linked(root: Path) -> None:
    with (root / "one").open("a") as one:
        one.write("2")
    assert (root / "two").read_text() == "12"
    assert (root / "one").stat().st_nlink == 2


def test_a_change_of_owner_copies_no_data(root: Path) -> None:
    free = os.statvfs(root).f_bfree
    os.chown(root / "large", 7, 7)
    assert (free - os.statvfs(root).f_bfree) * 4096 < 1 << 20
    assert (root / "large").stat().st_size == 9 << 20


def test_all_files_are_on_one_device_and_keep_their_inode_numbers(root: Path) -> None:
    before = os.lstat(root / "link")
    assert before.st_dev == root.stat().st_dev
    os.chown(root / "link", 7, 7, follow_symlinks=False)
    assert os.lstat(root / "link").st_ino == before.st_ino
