"""Unpacking what a guest sends: all that it may be, and that nothing of it gets out of the folder."""

from __future__ import annotations

import io
import itertools
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.console.verbs.reach import VERBS
from inferno.reach.bounds import STANDARD, Bounds
from inferno.reach.unpack import How, Place, pour, unpack
from tests.conftest import CHECKOUT

FILE, DIRECTORY, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
PLAIN = How()
Row = tuple[str, bytes, str]


def packed(*rows: Row, mode: int = 0o644, change: Callable[[tarfile.TarInfo], None] | None = None) -> bytes:
    """An archive as init writes them: (name, type, content or target) each."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, text in rows:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = kind, 0o755 if kind == DIRECTORY else mode, 981173106
            entry.uid, entry.gid = 1234, 5678
            if kind in (LINK, HARD):
                entry.linkname = text
            entry.size = len(text) if kind == FILE else 0
            if change:
                change(entry)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return trimmed(out.getvalue())


def trimmed(archive: bytes) -> bytes:
    """tarfile fills its last block of 10 KiB up with zeroes; init ends with two blocks of them."""
    return archive.rstrip(b"\0").ljust(-(-len(archive.rstrip(b"\0")) // 512) * 512, b"\0") + bytes(1024)


def put(
    folder: Path,
    archive: bytes,
    how: How = PLAIN,
    *,
    name: bytes | None = b"top",
    piece: int = 700,
    bounds: Bounds = STANDARD,
) -> list[str]:
    """Unpack it into a folder, in pieces of odd sizes."""
    source = io.BytesIO(archive)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        read = bounds.metered(lambda length: source.read(min(length, piece)))
        return unpack(read, Place(descriptor, b"top", name), how, bounds)
    finally:
        os.close(descriptor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The destination, with something beside it that must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("mine")
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture(autouse=True)
def nothing_outside_changes(tmp_path: Path, folder: Path) -> object:
    yield
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "outside"]
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]
    assert (tmp_path / "outside/secret").read_text() == "mine"
    assert (tmp_path / "outside/secret").stat().st_nlink == 1


TREE: tuple[Row, ...] = (
    ("top/", DIRECTORY, ""),
    ("top/file", FILE, "text"),
    ("top/sub/", DIRECTORY, ""),
    ("top/sub/" + "n" * 200, FILE, "long"),
    ("top/sub/link", LINK, "../../../outside/secret"),
    ("top/other-name", HARD, "top/file"),
)


@pytest.mark.parametrize("piece", [1, 700, 1 << 20])
def test_a_tree_arrives(folder: Path, piece: int) -> None:
    assert put(folder, packed(*TREE), name=b"called", piece=piece) == []
    root = folder / "called"
    assert (root / "file").read_text() == "text"
    assert (root / "sub" / ("n" * 200)).read_text() == "long"
    assert os.readlink(root / "sub/link") == "../../../outside/secret"
    assert os.path.samefile(root / "other-name", root / "file")
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    assert {path.lstat().st_mtime for path in root.rglob("*")} == {981173106}
    assert (root / "file").stat().st_uid == os.geteuid()


def test_the_content_alone_and_over_what_is_there(folder: Path) -> None:
    (folder / "sub").mkdir(0o700)
    (folder / "file").symlink_to(folder.parent / "outside/secret")
    for _ in range(2):
        assert put(folder, packed(*TREE), name=None) == []
    assert (folder / "file").read_text() == "text"
    assert not (folder / "file").is_symlink()
    assert stat.S_IMODE((folder / "sub").stat().st_mode) == 0o700  # it is the host's


@pytest.mark.root
@pytest.mark.parametrize(
    ("how", "owner", "mode"),
    [
        (How(), 0, 0o755),
        (How(owners=True), 1234, 0o1755),
        (How(set_ids=True), 0, 0o6755),
        (How(owners=True, set_ids=True), 1234, 0o7755),
    ],
)
def test_owners_and_set_ids_are_kept_only_when_asked(folder: Path, how: How, owner: int, mode: int) -> None:
    rows = (("top/", DIRECTORY, ""), ("top/file", FILE, "x"))
    put(folder, packed(*rows, change=lambda entry: setattr(entry, "mode", 0o7755)), how)
    for path in (folder / "top", folder / "top/file"):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (owner, mode)


def test_zeroes_become_holes_and_every_byte_is_the_same(folder: Path) -> None:
    text = "x" * 100 + "\0" * (1 << 20) + "y" + "\0" * (1 << 20)
    for piece in (1 << 20, 5000):
        put(folder, packed(("top/", DIRECTORY, ""), ("top/holes", FILE, text), ("top/x", FILE, "x")), piece=piece)
        assert (folder / "top/holes").read_text() == text
        assert (folder / "top/holes").stat().st_blocks * 512 < 512 << 10


@pytest.mark.parametrize(
    ("bounds", "says"),
    [(Bounds(entries=5), "more than 5 files"), (Bounds(total_bytes=3000), "more than 3000 bytes")],
)
def test_a_guest_cannot_send_without_end(folder: Path, bounds: Bounds, says: str) -> None:
    assert put(folder, packed(*TREE[:2]), bounds=bounds) == []
    with pytest.raises(InfernoError, match=says) as caught:
        put(folder, packed(*TREE), bounds=bounds)
    assert "--no-limits" in (caught.value.hint or "")


def test_help_and_the_page_have_the_limits() -> None:
    assert STANDARD.total_bytes is not None
    [option] = [each for verb in VERBS if verb.name == "cp" for each in verb.options if each.name == "no_limits"]
    page = (CHECKOUT / "docs/reaching-in.md").read_text()
    for limit in (f"{STANDARD.total_bytes >> 30} GiB", f"{STANDARD.entries:,}"):
        assert limit in option.help
        assert limit in page
    assert f"{STANDARD.idle_s:g} s" in option.help
    assert f"{STANDARD.idle_s:g} seconds" in page


def test_a_file_that_says_to_be_too_large_is_refused_before_a_byte_of_it(folder: Path) -> None:
    head = packed(("top", FILE, ""), change=lambda entry: entry.pax_headers.update({"size": str(1 << 50)}))[:-1024]
    with pytest.raises(InfernoError, match="more than 64 GiB"):
        put(folder, head)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("top", FILE, "text")], ""),
        ([("top", LINK, "/etc/passwd")], "something else"),
        ([("top/", DIRECTORY, "")], "something else"),
        ([("other", FILE, "text")], "something else"),
        ([("top", FILE, "text"), ("top", FILE, "text")], "more than the file"),
    ],
)
def test_a_device_gets_the_bytes_of_the_one_file(folder: Path, rows: list[Row], says: str) -> None:
    reading, writing = os.pipe()
    source = io.BytesIO(packed(*rows))
    try:
        if says:
            with pytest.raises(InfernoError, match=says):
                pour(source.read, b"top", writing)
        else:
            pour(source.read, b"top", writing)
            assert os.read(reading, 100) == b"text"
    finally:
        os.close(reading)
        os.close(writing)


def test_devices_and_pipes_are_not_made(folder: Path) -> None:
    archive = packed(
        ("top/", DIRECTORY, ""),
        ("top/null", tarfile.CHRTYPE, ""),
        ("top/disk", tarfile.BLKTYPE, ""),
        ("top/pipe", tarfile.FIFOTYPE, ""),
        ("top/file", FILE, "x"),
    )
    assert put(folder, archive) == ["top/null", "top/disk", "top/pipe"]
    assert [path.name for path in (folder / "top").iterdir()] == ["file"]


ROOT: Row = ("top/", DIRECTORY, "")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("../x", FILE, "")], "not asked for"),
        ([("top/../../x", FILE, "")], "not asked for"),
        ([("/etc/x", FILE, "")], "not asked for"),
        ([("other", FILE, "")], "not asked for"),
        ([("topping/x", FILE, "")], "not asked for"),
        ([ROOT, ("top/out", LINK, "../../outside"), ("top/out/x", FILE, "")], "is a link or a file"),
        ([ROOT, ("top/out", LINK, "../../outside"), ("top/out/", DIRECTORY, "")], "is a link or a file"),
        ([("top", LINK, "../outside"), ("top/x", FILE, "")], "is a link or a file"),
        ([ROOT, ("top/x", HARD, "../outside/secret")], "not asked for"),
        ([ROOT, ("top/x", HARD, "/etc/passwd")], "not asked for"),
        ([ROOT, ("top/out", LINK, "../../outside"), ("top/x", HARD, "top/out/secret")], "is a link or a file"),
        ([ROOT, ("top/x", HARD, "top/nothing")], "No such file"),
        ([ROOT, ("top/x", HARD, "top")], "Operation not permitted"),
        ([("top/a/b", FILE, "")], "No such file"),
        ([ROOT, ("top/sub/", DIRECTORY, ""), ("top/sub", FILE, "")], "in the way"),
        ([ROOT, ("top/file", FILE, ""), ("top/file/", DIRECTORY, "")], "is a link or a file"),
        ([ROOT, ("top/" + "n" * 256, FILE, "")], "name too long"),
        ([ROOT, ("top/" + "n/" * 2100, DIRECTORY, "")], "path that is none"),
    ],
)
def test_what_leads_out_or_nowhere_ends_the_copy(folder: Path, rows: list[Row], says: str) -> None:
    with pytest.raises(InfernoError, match=says):
        put(folder, packed(*rows))


def test_a_link_to_a_file_is_replaced_not_written_through(folder: Path) -> None:
    put(folder, packed(ROOT, ("top/x", LINK, "../../outside/secret"), ("top/x", FILE, "theirs")))
    assert (folder / "top/x").read_text() == "theirs"


def test_a_link_of_the_hosts_is_not_followed(folder: Path) -> None:
    (folder / "top").symlink_to("../outside")
    with pytest.raises(InfernoError, match="is a link or a file"):
        put(folder, packed(ROOT, ("top/x", FILE, "")))


def test_names_are_shown_harmless(folder: Path) -> None:
    with pytest.raises(InfernoError) as caught:
        put(folder, packed(("\x1b[2J\n", FILE, "")))
    assert caught.value.text.isprintable()


GOOD = packed(ROOT, ("top/file", FILE, "x" * 600))


def with_field(at: int, field: bytes) -> bytes:
    """GOOD with another field in its first header, and the checksum for that."""
    block = bytearray(GOOD[:512])
    block[at : at + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + GOOD[512:]


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        GOOD[:100],
        GOOD[:1300],
        GOOD[:-1024],
        GOOD[:-512],
        GOOD + b"x",
        GOOD + bytes(512),
        GOOD[:20] + b"!" + GOOD[21:],
        b"x" * 5000,
        with_field(156, b"S"),
        with_field(156, b"g"),
        with_field(124, b"-0000000001"),
        with_field(124, b"99999999999"),
        with_field(124, b"\x80" + bytes(10) + b"\x01"),
        with_field(136, b"0000000000x"),
        with_field(257, b"ustar  \0"),
        with_field(345, b"prefix"),
        with_field(0, bytes(100)),
        packed(ROOT, change=lambda entry: entry.pax_headers.update({"path": "top\0x"})),
        packed(ROOT, change=lambda entry: entry.pax_headers.update({"size": "-1"})),
        packed(ROOT, ("top/x", FILE, ""), change=lambda entry: entry.pax_headers.update({"uid": "4294967295"})),
        packed(ROOT, change=lambda entry: entry.pax_headers.update({"uid": "1e3"})),
        packed(ROOT, change=lambda entry: entry.pax_headers.update({"comment": "x" * 70_000})),
    ],
    ids=map(str, itertools.count()),
)
def test_a_bad_archive_is_one_line(folder: Path, archive: bytes) -> None:
    with pytest.raises(InfernoError, match=r"bad archive|not asked for") as caught:
        put(folder, archive)
    assert caught.value.text.isprintable()
