"""The reader of tar headers, beside tarfile's: whatever one makes of an archive, so does the other."""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from inferno.image.layers import limits, tar
from inferno.image.layers.entry import DIRECTORY, FILE, HARD_LINK, SYMLINK, BadImageError, Entry
from tests import images


def read(data: bytes) -> list[Entry]:
    descriptor = os.memfd_create("archive")
    try:
        os.write(descriptor, data)
        return list(tar.entries(descriptor, len(data), 0))
    finally:
        os.close(descriptor)


def content(data: bytes, entry: Entry) -> bytes:
    """A file's data, holes filled."""
    if entry.chunks is None:
        return data[entry.offset : entry.offset + entry.size]
    whole = bytearray(entry.size)
    for at, size, offset in entry.chunks:
        whole[at : at + size] = data[offset : offset + size]
    return bytes(whole)


def compare(data: bytes) -> int:
    """Hold the reader against tarfile; return how many entries there were."""
    ours = read(data)
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as archive:
        theirs = archive.getmembers()
        assert [os.fsdecode(e.name).rstrip("/") for e in ours] == [m.name for m in theirs]
        for entry, member in zip(ours, theirs, strict=True):
            assert (entry.mode, entry.uid, entry.gid) == (member.mode & 0o7777, member.uid, member.gid)
            assert abs(entry.mtime_ns / 1e9 - float(member.mtime)) < 1e-3
            assert os.fsdecode(entry.link) == (member.linkname if member.issym() or member.islnk() else "")
            if entry.kind == FILE:
                file = archive.extractfile(member)
                assert file is not None
                assert content(data, entry) == file.read()
    return len(ours)


LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 120
ODD = [
    images.directory("plain"),
    images.file("plain/file", b"some data", 0o4755, uid=1000, gid=2000, mtime=1_700_000_000.123456),
    images.file(LONG, b"long name"),
    images.symlink("link", "t" * 200),
    images.symlink("short", "plain/file"),
    images.hard_link("hard", "plain/file"),
    images.file("new\nline \udcff bytes", b"x" * 1025),
    images.file("big-owner", b"", uid=4_000_000_000, gid=3_000_000_000),
    images.Member("fifo", tarfile.FIFOTYPE),
    images.Member("device", tarfile.CHRTYPE, device=(10, 229)),
    images.file("old", b"", mtime=-12345.5),
    images.file("empty"),
]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_reads_what_tarfile_writes(form: int) -> None:
    known = [member for member in ODD if form == tarfile.PAX_FORMAT or member.mtime == int(member.mtime)]
    assert compare(images.tar(known, form)) == len(known)


def test_reads_the_prefix_of_ustar() -> None:
    short = [images.file("a" * 120 + "/" + "b" * 90, b"data"), images.directory("c" * 100)]
    assert compare(images.tar(short, tarfile.USTAR_FORMAT)) == 2


@pytest.mark.parametrize("seed", range(20))
def test_reads_random_archives(seed: int) -> None:
    chance = random.Random(seed)
    members = []
    for number in range(chance.randrange(1, 60)):
        name = "/".join("".join(chance.choices("abcé \n\udcfe", k=chance.randrange(1, 60))) for _ in range(3))
        kind = chance.choice([images.file, images.directory, images.symlink])
        more = {"mode": chance.randrange(0o10000), "uid": chance.randrange(1 << 32), "gid": chance.randrange(1 << 24)}
        if kind is images.file:
            members.append(images.file(f"{number}{name}", chance.randbytes(chance.randrange(3000)), **more))
        elif kind is images.directory:
            members.append(images.directory(f"{number}{name}", **more))
        else:
            members.append(images.symlink(f"{number}{name}", name))
    assert compare(images.tar(members)) == len(members)


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ],
    ids=["old", "0.0", "0.1", "1.0"],
)
def test_reads_files_with_holes(options: list[str], tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        for number in range(40):
            file.seek(number * 131072)
            file.write(b"%d" % number * 700)
        file.truncate(41 * 131072)
    (tmp_path / "after").write_bytes(b"what follows")
    argv = ["tar", "-c", "-S", *options, "-C", tmp_path, "holes", "after"]
    data = subprocess.run(argv, check=True, capture_output=True).stdout
    holes, after = read(data)
    assert holes.chunks and len(holes.chunks) >= 40
    assert (holes.name, content(data, holes)) == (b"holes", (tmp_path / "holes").read_bytes())
    assert content(data, after) == b"what follows"


def test_reads_xattrs_but_not_those_that_steer_an_overlay() -> None:
    pax = {
        "SCHILY.xattr.security.capability": "\x01\0\0\x02" + "\0" * 16,
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.note": "a=b\nc",
    }
    [entry] = read(images.tar([images.file("ping", b"x", pax=pax)]))
    assert entry.xattrs == [(b"security.capability", b"\x01\0\0\x02" + bytes(16)), (b"user.note", b"a=b\nc")]
    assert entry.lost == {"xattrs": (1, b"trusted.overlay.opaque")}


def test_passes_over_attributes_in_forms_that_docker_passes_over_and_says_so() -> None:
    pax = {
        "LIBARCHIVE.xattr.user.a": "YQ==", "SCHILY.xattr.user.a": "a", "LIBARCHIVE.xattr.user.b": "Yg==",
        "SCHILY.acl.access": "user::rw-", "RHT.security.selinux": "system_u",
    }  # fmt: skip
    [entry] = read(images.tar([images.file("f", pax=pax)]))
    assert entry.xattrs == [(b"user.a", b"a")]
    assert entry.lost is not None
    assert entry.lost["xattrs"][0] == 3


@pytest.mark.parametrize(
    ("text", "ns"),
    [("-1.5", -1_500_000_000), ("+5", 5_000_000_000), ("5.", 5_000_000_000), (".25", 250_000_000), ("1e-05", 10_000),
     ("-0.000000001", -1), ("1.0000000019", 1_000_000_001), ("0" * 5000 + "7", 7_000_000_000)],
)  # fmt: skip
def test_times_as_tools_write_them(text: str, ns: int) -> None:
    [entry] = read(images.tar([images.file("f", pax={"mtime": text})]))
    assert (entry.mtime_ns, entry.lost) == (ns, None)


@pytest.mark.parametrize("text", ["yesterday", "-", "1.2.3", "nan", "inf", "1e5e5", "\udcff"])
def test_a_time_that_is_none_leaves_that_of_the_header(text: str) -> None:
    [entry] = read(images.tar([images.file("f", mtime=77, pax={"mtime": text})]))
    assert entry.lost == {"times": (1, text.encode(errors="surrogateescape"))}


@pytest.mark.parametrize("text", ["2e+17", "-" + "9" * 30, "99999999999999", "-99999999999"])
def test_a_time_that_ext4_cannot_hold_becomes_the_nearest(text: str) -> None:
    [entry] = read(images.tar([images.file("f", pax={"mtime": text})]))
    assert entry.mtime_ns == (limits.MIN_TIME_NS if text.startswith("-") else limits.MAX_TIME_NS)
    assert entry.lost == {"times": (1, b"")}


@pytest.mark.parametrize("owner", ["4294967295", "4294967296", "-1", "9" * 19])
def test_an_owner_that_linux_does_not_have_is_nobody_without_set_ids(owner: str) -> None:
    [entry] = read(images.tar([images.file("f", mode=0o6755, pax={"uid": owner})]))
    assert (entry.uid, entry.gid, entry.mode) == (65534, 0, 0o755)
    assert entry.lost == {"owners": (1, b"")}


def test_a_pax_record_without_a_value_leaves_what_the_header_says() -> None:
    [entry] = read(
        images.tar([images.file("name", mtime=7, uid=5, pax={"path": "", "uid": "", "SCHILY.xattr.user.e": ""})])
    )
    assert (entry.name, entry.uid, entry.xattrs) == (b"name", 5, [(b"user.e", b"")])


@pytest.mark.parametrize(("kind", "found"), [(b"V", [b"b"]), (b"D", [b"name", b"b"])], ids=["label", "dumpdir"])
def test_kinds_of_gnus_that_are_no_files(kind: bytes, found: list[bytes]) -> None:
    assert [entry.name for entry in read(damaged(kind, 156))] == found


def test_an_empty_archive_and_one_without_an_end_are_fine() -> None:
    assert read(b"") == []
    assert read(bytes(10240)) == []
    whole = images.tar([images.file("a", b"x" * 512)])
    assert [entry.name for entry in read(whole[:1024])] == [b"a"]


@pytest.mark.parametrize(("kind", "found"), [(b"\0", DIRECTORY), (b"0", FILE), (b"7", FILE)])
def test_a_file_with_a_slash_is_a_directory_in_the_oldest_form_alone(kind: bytes, found: bytes) -> None:
    """As Docker and Python have it."""
    data = bytearray(images.tar([images.file("old/")]))
    data[156:157] = kind
    data[148:156] = b"%06o\0 " % (sum(data[:512]) - sum(data[148:156]) + 256)
    assert [entry.kind for entry in read(bytes(data))] == [found]


def test_kinds() -> None:
    assert [entry.kind for entry in read(images.tar(ODD[:6]))] == [DIRECTORY, FILE, FILE, SYMLINK, SYMLINK, HARD_LINK]


def damaged(change: bytes, at: int, checksum: bool = True) -> bytes:
    data = bytearray(images.tar([images.file("name", b"x" * 600), images.file("b")]))
    data[at : at + len(change)] = change
    if checksum:
        data[148:156] = b"%06o\0 " % (sum(data[:512]) - sum(data[148:156]) + 256)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x7fELF" + bytes(600), "checksum"),
        (b"short", "middle of a header"),
        (images.tar([images.file("a", b"x" * 2000)])[:1500], "middle of a file"),
        (damaged(b"Z", 0, checksum=False), "checksum"),
        (damaged(b"zzzzzzz\0", 124), "bad size"),
        (damaged(b"\xff" * 12, 124), "negative size"),
        (damaged(b"?", 156), "unknown kind"),
        (damaged(b"\x80" + b"\xff" * 11, 124), "middle of a file"),
    ],
    ids=["elf", "short", "cut", "checksum", "letters", "negative", "kind", "huge"],
)
def test_what_is_no_archive_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(BadImageError, match=says):
        read(data)


@pytest.mark.parametrize("size", [b"-7777777777\0", b"+7\0", b"7_7\0", b"8\0"], ids=["negative", "plus", "_", "8"])
def test_a_file_with_holes_has_a_size_in_octal_digits(size: bytes) -> None:
    header = bytearray(damaged(b"S", 156)[:512])
    header[124:136] = b"%011o\0" % 0
    header[483 : 483 + len(size)] = size
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)
    with pytest.raises(BadImageError, match="malformed map"):
        read(bytes(header) + bytes(1024))


@pytest.mark.parametrize(
    "records", [b"5 a=b\n", b"999 path=x\n", b"x path=a\n", b"12 path=abc\0\n"[:-1], b"9 pathabc\n"]
)
def test_malformed_pax_headers_are_refused(records: bytes) -> None:
    lead = bytearray(images.tar([images.file("h", records)])[:1024])
    lead[156:157] = b"x"
    lead[148:156] = b"%06o\0 " % (sum(lead[:512]) - sum(lead[148:156]) + 256)
    with pytest.raises(BadImageError):
        read(bytes(lead) + images.tar([images.file("a")]))


def test_an_entry_may_have_many_headers_but_only_so_much_in_them() -> None:
    member = images.file("a", pax={"SCHILY.xattr.user.x": "y" * 300_000})
    whole = images.tar([member])
    header = whole[: whole.index(b"a\0", 1024) // 512 * 512]
    assert [entry.name for entry in read(header * 2 + whole)] == [b"a"]
    with pytest.raises(BadImageError, match="are allowed"):
        read(header * 3 + whole)


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(BadImageError, match="NUL"):
        read(images.tar([images.file("a", pax={"path": "a\0b"})]))


@pytest.mark.parametrize("seed", range(300))
def test_flipped_bytes_never_do_worse_than_an_error(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(images.tar(ODD))
    for _ in range(chance.randrange(1, 8)):
        block = chance.randrange(len(data) // 512) * 512
        data[block + chance.randrange(512)] = chance.randrange(256)
        data[block + 148 : block + 156] = b"%06o\0 " % (
            sum(data[block : block + 512]) - sum(data[block + 148 : block + 156]) + 256
        )
    with contextlib.suppress(BadImageError):
        read(bytes(data))


@pytest.mark.parametrize("version", ["0.1", "1.0"])
def test_a_file_may_have_a_hundred_thousand_holes(version: str) -> None:
    """As a database's or a disk image's may; Go's archive/tar reads no larger map."""
    count = 100_000
    numbers = [number for at in range(count) for number in (at * 2, 1)]
    size = str(count * 2)
    if version == "0.1":
        pax, data = {"GNU.sparse.map": ",".join(map(str, numbers)), "GNU.sparse.size": size}, b"x" * count
    else:
        pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": size}
        text = "".join(f"{number}\n" for number in (count, *numbers)).encode()
        data = text + bytes(-len(text) % 512) + b"x" * count
    [found] = read(images.tar([images.file("holes", data, pax=pax)]))
    assert found.chunks and (len(found.chunks), found.size) == (count, count * 2)


def test_a_checksum_of_signed_bytes_is_one_too() -> None:
    """GNU tar, bsdtar, Python's and Go's take both."""
    data = bytearray(images.tar([images.file("caf\xe9", b"x"), images.file("b")], tarfile.GNU_FORMAT))
    signed = sum(byte - 256 * (byte > 127) for byte in (*data[:148], *data[156:512])) + 256
    data[148:156] = b"%06o\0 " % signed
    assert [entry.name for entry in read(bytes(data))] == ["caf\xe9".encode(), b"b"]
    assert tar.is_header(bytes(data[:512]))
    data[148:156] = b"%06o\0 " % (signed + 1)
    assert not tar.is_header(bytes(data[:512]))
    with pytest.raises(BadImageError, match="checksum"):
        read(bytes(data))


@pytest.mark.parametrize("block", [b"", b"\xff" * 512, b"\xff" * 257, bytes(range(256)) * 2, b"\0" * 512])
def test_the_checksum_is_the_sum_of_the_bytes(block: bytes) -> None:
    assert tar.checksum(block) == sum(block)
