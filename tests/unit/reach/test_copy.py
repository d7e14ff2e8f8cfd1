"""cp against init's own code: the rules for names, both ways, streams, and what cannot be."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.reach import copy
from inferno.reach.guest import Guest
from inferno.reach.unpack import How
from tests.guestlab import real_guest

pytestmark = pytest.mark.root
PLAIN = How()
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


def out(guest: Guest, path: str | Path, to: str | Path, how: How = PLAIN) -> None:
    assert copy.out(guest, str(path), str(to), how) == []


def into(guest: Guest, path: str | Path, to: str | Path, how: How = PLAIN) -> None:
    copy.into(guest, str(path), str(to), how)


@pytest.mark.parametrize("how", [How(owners=True, set_ids=True), How()])
def test_a_tree_goes_out_and_back_in(guest: Guest, there: Path, here: Path, how: How) -> None:
    expected = listing(there / "tree", owners=how.owners)
    out(guest, there / "tree", here, how)
    assert listing(here / "tree", owners=how.owners) == expected
    into(guest, here / "tree", there / "again", how)
    assert listing(there / "again", owners=how.owners) == expected
    info = (here / "tree/sub/file").stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == ((12, 34, 0o4751) if how.owners else (0, 0, 0o751))


# What a destination may be, beside what is not there.
PLACES = """
    mkdir folder; echo old > old; chmod 600 old; ln -s folder to-folder; ln -s old to-old; ln -s to-old to-to-old
    ln -s not-yet to-nothing; ln -s ./not-yet/ to-nothing-slash; mkdir deep; ln -s ../not-yet deep/to-nothing
    ln -s loop loop"""
# Docker's documented rules, a row each (docker cp, "Extended description"), and what follows from them for links.
RULES = [
    # a file
    ("tree/sub/file", "new", "new"),
    ("tree/sub/file", "old", "old"),
    ("tree/sub/file", "folder", "folder/file"),
    ("tree/sub/file", "folder/", "folder/file"),
    ("tree/sub/file", "folder/.", "folder/file"),
    ("tree/sub/file", "folder/other", "folder/other"),
    ("tree/sub/file", "to-folder", "folder/file"),
    ("tree/sub/file", "to-folder/", "folder/file"),
    ("tree/sub/file", "to-old", "old"),
    ("tree/sub/file", "to-to-old", "old"),
    ("tree/sub/file", "to-nothing", "not-yet"),
    ("tree/sub/file", "deep/to-nothing", "not-yet"),
    ("tree/sub/file", "to-folder/other", "folder/other"),
    ("tree/sub/../sub/file", "old", "old"),
    # a folder
    ("tree", "new", "new/sub/file"),
    ("tree", "new/", "new/sub/file"),
    ("tree", "new/.", "new/sub/file"),
    ("tree", "folder", "folder/tree/sub/file"),
    ("tree/", "folder/", "folder/tree/sub/file"),
    ("tree", "to-folder", "folder/tree/sub/file"),
    ("tree", "to-nothing", "not-yet/sub/file"),
    ("tree", "to-nothing-slash", "not-yet/sub/file"),
    # what is in a folder
    ("tree/.", "new", "new/sub/file"),
    ("tree/.", "new/", "new/sub/file"),
    ("tree/.", "folder", "folder/sub/file"),
    ("tree/.", "to-folder", "folder/sub/file"),
    ("tree/././", "folder", "folder/tree/sub/file"),
    # a link to a folder, which a slash at its end follows
    ("to-tree/", "folder", "folder/to-tree/sub/file"),
    ("to-tree/.", "folder", "folder/sub/file"),
    ("to-tree/sub/file", "folder", "folder/file"),
]


@pytest.mark.parametrize(("source", "destination", "made"), RULES)
def test_names_are_dockers(guest: Guest, there: Path, here: Path, source: str, destination: str, made: str) -> None:
    for side, other, cp in ((there, here, out), (here, there, into)):
        if side == here:
            shell(here, "rm -rf *; cp -a ../there/tree .")
        shell(side, "ln -s tree to-tree")
        shell(other, f"rm -rf to-tree; {PLACES}")
        links = sorted(path for path in other.iterdir() if path.is_symlink())
        cp(guest, f"{side}/{source}", f"{other}/{destination}")
        assert (other / made).read_text() == "text\n"
        assert all(path.is_symlink() for path in links)


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        ("missing", "folder", "there is no .*missing"),
        ("tree", "old", "not a folder"),
        ("tree", "to-old", "not a folder"),
        ("tree/.", "old", "not a folder"),
        ("tree", "loop", "without end|symbolic links"),
        ("tree/sub/file", "loop", "without end|symbolic links"),
        ("tree/sub/file/", "folder", "not a folder"),
        ("tree/sub/file", "to-old/", "ot a folder|ot a directory"),
        ("tree", "null", "not a folder"),
        ("tree/to-file", "null", "only a file goes into"),
        ("tree/sub/file", "socket", "is a socket|in the guest: .*no such device"),
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
        shell(other, f"{PLACES}; mknod null c 1 3")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"{other}/socket")
        before = sorted(other.iterdir())
        with pytest.raises((InfernoError, UsageError), match=says) as caught:
            cp(guest, f"{side}/{source}", f"{other}/{destination}")
        assert "\n" not in caught.value.text
        assert sorted(other.iterdir()) == before


def test_links_are_copied_as_links_unless_followed(guest: Guest, there: Path, here: Path) -> None:
    out(guest, there / "tree/to-file", here)
    assert os.readlink(here / "to-file") == "sub/file"
    out(guest, there / "tree/to-file", here, How(follow=True))
    assert not (here / "to-file").is_symlink()
    (here / "link").symlink_to("to-file")
    into(guest, here / "link", there / "followed", How(follow=True))
    assert (there / "followed").read_text() == "text\n"


def test_devices_of_the_guests_are_told_of(guest: Guest, there: Path, here: Path) -> None:
    shell(there, "mkdir dev; mknod dev/null c 1 3; mkfifo dev/pipe; echo x > dev/file")
    how = How(owners=True, set_ids=True)
    assert copy.out(guest, str(there / "dev"), str(here), how) == ["dev/null", "dev/pipe"]
    assert [path.name for path in (here / "dev").iterdir()] == ["file"]


def test_sockets_are_told_of_and_all_else_is_copied(guest: Guest, there: Path, here: Path) -> None:
    for side, other, cp in ((there, here, copy.out), (here, there, copy.into)):
        shell(side, "mkdir with; echo text > with/file")
        for name in ("alone", "with/one"):
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(f"{side}/{name}")
        assert cp(guest, f"{side}/alone", f"{other}/new", How()) == [f"{side}/alone"]
        assert not (other / "new").exists()
        assert cp(guest, f"{side}/with", f"{other}/new", How()) == [f"{side}/with/one"]
        assert [path.name for path in (other / "new").iterdir()] == ["file"]


def test_an_archive_on_standard_output_is_whole_but_for_sockets_which_are_told_of(
    guest: Guest, there: Path, here: Path
) -> None:
    shell(there, "mkdir with; echo text > with/file; mkfifo with/pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{there}/with/o\x1bne")
    kept = os.dup(1)
    with (here / "got.tar").open("wb") as got:
        try:
            os.dup2(got.fileno(), 1)
            assert copy.archive_out(guest, f"{there}/with", follow=False) == [f"{there}/with/o ne"]
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert shell(here, "tar -tf got.tar") == "with/\nwith/file\nwith/pipe\n"


def test_many_sockets_do_not_hold_up_a_copy(guest: Guest, there: Path, here: Path) -> None:
    (there / "with").mkdir()
    for number in range(1200):
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"{there}/with/{number}")
    (there / "with/z").write_text("text")
    told = copy.out(guest, f"{there}/with", str(here), PLAIN)
    assert len(told) > 500
    assert all(path.startswith(f"{there}/with/") and path[-1].isdigit() for path in told)
    assert (here / "with/z").read_text() == "text"


@pytest.mark.parametrize("linked", [False, True])
def test_devices_and_pipes_are_written_into(guest: Guest, there: Path, here: Path, linked: bool) -> None:
    for side, other, cp in ((there, here, out), (here, there, into)):
        shell(side, "echo text > text")
        shell(other, "mknod null c 1 3; mkfifo pipe; ln -s null to-null; ln -s pipe to-pipe")
        before = shell(other, "stat -c '%n %i %F %a %u %Y' null")
        cp(guest, side / "text", other / ("to-null" if linked else "null"))
        assert shell(other, "stat -c '%n %i %F %a %u %Y' null") == before
        with subprocess.Popen(["cat", other / "pipe"], stdout=subprocess.PIPE) as reader:
            cp(guest, side / "text", other / ("to-pipe" if linked else "pipe"))
            assert reader.communicate()[0] == b"text\n"


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_file_goes_to_a_descriptor_of_ours(guest: Guest, there: Path, here: Path, path: str) -> None:
    """Also where it is a file that something was written to before."""
    shell(there, "echo text > text")
    os.symlink(path, here / "link")
    with (here / "got").open("wb") as got:
        got.write(b"before ")
        got.flush()
        kept = os.dup(1)
        try:
            os.dup2(got.fileno(), 1)
            out(guest, there / "text", path)
            out(guest, there / "text", here / "link")
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert (here / "got").read_text() == "before text\ntext\n"


def test_a_descriptor_of_ours_is_read_to_its_end(guest: Guest, there: Path) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb"):
        with open(writing, "wb") as pipe:
            pipe.write(b"x" * 5000)
        into(guest, f"/dev/fd/{reading}", there / "got")
    assert (there / "got").read_text() == "x" * 5000


def test_a_descriptor_of_the_guests_is_nobodys(guest: Guest, here: Path) -> None:
    (here / "text").write_text("text")
    with pytest.raises(InfernoError, match="leads to a descriptor"):
        into(guest, here / "text", "/dev/stdout")


@pytest.mark.parametrize(
    "path", ["/proc/cpuinfo", "/proc/sys/kernel/ostype", "/sys/kernel/mm/transparent_hugepage/enabled"]
)
def test_files_that_say_less_than_they_have_come_whole(guest: Guest, there: Path, here: Path, path: str) -> None:
    out(guest, path, here / "out")
    into(guest, path, there / "in")
    for made in (here / "out", there / "in"):
        assert made.read_text()
        assert made.read_text() == Path(path).read_text()


def test_a_guest_whose_disk_is_full_says_so(guest: Guest, there: Path, here: Path) -> None:
    (here / "big").write_bytes(bytes(8 << 20))
    with pytest.raises(InfernoError, match=r"in the guest: .*big"):
        into(guest, here / "big", "/sys")
