"""What a guest can do with the files of its base: everything is copied into the scratch first, with all that it has."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.image.layers import limits
from tests import overlaylab
from tests.images import Member, directory, file, hard_link, symlink

pytestmark = pytest.mark.root
XATTR = "SCHILY.xattr."
ACL = "\2\0\0\0\1\0\6\0\xff\xff\xff\xff"  # only the owner's entry
LARGEST = limits.MAX_VALUE_BYTES
# What kernels refuse to copy up, and the most of what they do not.
ODD = [
    file("apple", pax={f"{XATTR}com.apple.provenance": "x"}), file("largest", pax={f"{XATTR}user.a": "v" * LARGEST}),
    file("too-large", pax={f"{XATTR}user.a": "v" * 70_000}), symlink("user-link", "x", pax={f"{XATTR}user.a": "v"}),
    file("four", pax={f"{XATTR}user.{n}": "v" * 30_000 for n in range(4)}),
    file("small", pax={f"{XATTR}user.n{n:03}": "v" * 9 for n in range(200)}),
    file("half", pax={f"{XATTR}user.{n}": "v" * 2048 for n in "abc"}),
    file("halves", pax={f"{XATTR}user.{n}": "v" * 2049 for n in range(60)}),
    file("capability", pax={f"{XATTR}security.capability": "none"}), file("empty", pax={f"{XATTR}user.": "x"}),
    file("acl", pax={f"{XATTR}system.posix_acl_access": ACL}),
    file("overlay", pax={f"{XATTR}trusted.overlay.opaque": "y"}),
    Member("fifo", tarfile.FIFOTYPE, pax={f"{XATTR}user.a": "v"}), Member("null", tarfile.CHRTYPE, device=(1, 3)),
    file("no-owner", uid=4294967295), file("last-owner", uid=4294967294, gid=4294967294), symlink("long", "t" * 4095),
    file("past", mtime=-1.5), file("long-ago", pax={"mtime": "-99999999999"}),
    file("far", pax={"mtime": "99999999999"}),
    file("nanoseconds", pax={"mtime": "1234567890.000000005"}), file("n" * 255), file("\udcff\n\udcfe"),
    file("set-id", b"x", 0o6755, uid=7), file("zeros", bytes(1 << 20)),
]  # fmt: skip
LAYER = [
    directory("d"), directory("d/below"), file("d/f", b"1"), file("large", bytes(9 << 20)), file("one", b"1"),
    hard_link("two", "one"), symlink("link", "one"), *ODD, file("big", b"1", pax={f"{XATTR}user.big": "a" * 8000}),
    directory("bigs", pax={f"{XATTR}user.a": "a" * 30_000, f"{XATTR}user.b": "b" * 30_000}),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("overlay")
    with overlaylab.mounted(folder, overlaylab.make_base(folder, [LAYER])) as root:
        yield root


@pytest.fixture
def lower(root: Path) -> Path:
    return root.parent / "lower"


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
    assert [len(os.getxattr(root / "bigs", f"user.{name}")) for name in "ab"] == [30_000, 30_000]


def change(path: Path) -> None:
    """In the way that each kind of file can be changed."""
    if stat.S_ISREG(path.lstat().st_mode):
        with path.open("ab") as file:
            file.write(b"+")
    os.chown(path, 1, 1, follow_symlinks=False)


@pytest.mark.parametrize("member", ODD, ids=[member.name[:20].encode(errors="replace").decode() for member in ODD])
def test_a_guest_can_change_whatever_the_image_has(member: Member, root: Path) -> None:
    path = root / member.name
    before, known = path.lstat(), os.listxattr(path, follow_symlinks=False)
    os.utime(path, ns=(0, before.st_mtime_ns), follow_symlinks=False)  # copied up, by a change of what does not show
    after = path.lstat()
    assert (after.st_mtime_ns, after.st_uid, after.st_ino) == (before.st_mtime_ns, before.st_uid, before.st_ino)
    assert set(known) <= set(os.listxattr(path, follow_symlinks=False))
    change(path)
    assert path.lstat().st_uid == 1


@pytest.mark.parametrize(
    ("name", "ns"),
    [("past", -1_500_000_000), ("nanoseconds", 1_234_567_890_000_000_005), ("long-ago", limits.MIN_TIME_NS),
     ("far", limits.MAX_TIME_NS)],
)  # fmt: skip
def test_times_are_those_of_the_layers_or_the_nearest(name: str, ns: int, lower: Path) -> None:
    assert (lower / name).stat().st_mtime_ns == ns


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
