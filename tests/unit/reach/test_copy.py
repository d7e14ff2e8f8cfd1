"""cp against init's own code: the rules for names, both ways, streams, and what cannot be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.reach import copy
from inferno.reach.guest import Guest
from tests.guestlab import real_guest

pytestmark = pytest.mark.root
TREE = """
    mkdir -p tree/sub/empty tree/read-only && cd tree
    echo text > sub/file && chown 12:34 sub/file && chmod 4751 sub/file
    head -c 300000 /dev/urandom > random; ln random second-name; printf '' > none
    ln -s ../nowhere sub/link; ln -s sub/file to-file; long=$(printf 'n%.0s' $(seq 200)); echo deep > sub/$long
    echo latin > "$(printf 'gr\\374n')"; echo x > read-only/inside; chmod 555 read-only
    find . -exec touch -h -d '2001-02-03 04:05:06 UTC' {} +"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """It sees this machine's own file system."""
    with real_guest(tmp_path_factory.mktemp("guest") / "root") as guest:
        yield guest


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The guest's folder, with a tree in it."""
    (tmp_path / "there").mkdir()
    shell(tmp_path / "there", TREE)
    return tmp_path / "there"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def shell(folder: Path, script: str) -> str:
    return subprocess.run(
        ["sh", "-ec", script], cwd=folder, check=True, stdout=subprocess.PIPE, encoding="latin-1"
    ).stdout


def listing(folder: Path, *, owners: bool) -> str:
    """Every property that is copied, of everything in a folder."""
    what = "%P %y %m %U %G %Ts %l" if owners else "%P %y %Ts %l"
    script = f"find . -printf '{what}\\n' | sort; find . -type f | sort | tr '\\n' '\\0' | xargs -0 sha256sum"
    return shell(folder, f"{script}; find . -samefile random | wc -l")


def out(guest: Guest, path: str | Path, to: str | Path, *, keep: bool = False, follow: bool = False) -> None:
    assert copy.out(guest, str(path), str(to), keep=keep, follow=follow) == []


def into(guest: Guest, path: str | Path, to: str | Path, *, keep: bool = False, follow: bool = False) -> None:
    copy.into(guest, str(path), str(to), keep=keep, follow=follow)


@pytest.mark.parametrize("keep", [True, False])
def test_a_tree_goes_out_and_back_in(guest: Guest, there: Path, here: Path, keep: bool) -> None:
    expected = listing(there / "tree", owners=keep)
    out(guest, there / "tree", here, keep=keep)
    assert listing(here / "tree", owners=keep) == expected
    into(guest, here / "tree", there / "again", keep=keep)
    assert listing(there / "again", owners=keep) == expected
    info = (here / "tree/sub/file").stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == ((12, 34, 0o4751) if keep else (0, 0, 0o751))


@pytest.mark.parametrize(
    ("source", "destination", "made"),
    [
        ("tree", "folder", "folder/tree/sub/file"),
        ("tree/", "folder/", "folder/tree/sub/file"),
        ("tree/.", "folder", "folder/sub/file"),
        ("tree", "new", "new/sub/file"),
        ("tree", "new/", "new/sub/file"),
        ("tree/.", "new", "new/sub/file"),
        ("tree/sub/file", "folder", "folder/file"),
        ("tree/sub/file", "new", "new"),
        ("tree/sub/file", "old", "old"),
        ("tree/sub/../sub/file", "old", "old"),
    ],
)
def test_names_are_dockers(guest: Guest, there: Path, here: Path, source: str, destination: str, made: str) -> None:
    for side, other, cp in ((there, here, out), (here, there, into)):
        if side == here:
            shell(here, "rm -rf *; cp -a ../there/tree .")
        shell(other, "mkdir folder; echo old > old; chmod 600 old")
        cp(guest, f"{side}/{source}", f"{other}/{destination}")
        assert (other / made).read_text() == "text\n"


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        ("missing", "folder", "there is no .*missing"),
        ("tree", "old", "not a folder"),
        ("tree/sub/file", "new/", "there is no folder"),
        ("tree/sub/file", "old/", "ot a folder|ot a directory"),
        ("tree/sub/file", "not/there", "No such file|no such file"),
        ("tree/sub/file/.", "folder", "ot a folder|ot a directory"),
        ("tree/sub/..", "folder", "ends with"),
    ],
)
def test_what_cannot_be_copied_is_one_line(
    guest: Guest, there: Path, here: Path, source: str, destination: str, says: str
) -> None:
    for side, other, cp in ((there, here, out), (here, there, into)):
        if side == here:
            shell(here, "rm -rf *; cp -a ../there/tree .")
        shell(other, "mkdir folder; echo old > old")
        before = sorted(other.iterdir())
        with pytest.raises((InfernoError, UsageError), match=says) as caught:
            cp(guest, f"{side}/{source}", f"{other}/{destination}")
        assert "\n" not in caught.value.text
        assert sorted(other.iterdir()) == before


def test_links_are_copied_as_links_unless_followed(guest: Guest, there: Path, here: Path) -> None:
    out(guest, there / "tree/to-file", here)
    assert os.readlink(here / "to-file") == "sub/file"
    out(guest, there / "tree/to-file", here, follow=True)
    assert not (here / "to-file").is_symlink()
    (here / "link").symlink_to("to-file")
    into(guest, here / "link", there / "followed", follow=True)
    assert (there / "followed").read_text() == "text\n"
    (there / "pointer").symlink_to("followed")
    (here / "other").write_text("other")
    into(guest, here / "other", there / "pointer")
    assert (there / "pointer").is_symlink()
    assert (there / "followed").read_text() == "other"


def test_devices_of_the_guests_are_told_of(guest: Guest, there: Path, here: Path) -> None:
    shell(there, "mkdir dev; mknod dev/null c 1 3; mkfifo dev/pipe; echo x > dev/file")
    assert copy.out(guest, str(there / "dev"), str(here), keep=True, follow=False) == ["dev/null", "dev/pipe"]
    assert [path.name for path in (here / "dev").iterdir()] == ["file"]


def test_a_guest_whose_disk_is_full_says_so(guest: Guest, there: Path, here: Path) -> None:
    (here / "big").write_bytes(bytes(8 << 20))
    with pytest.raises(InfernoError, match=r"in the guest: .*big"):
        into(guest, here / "big", "/sys")
