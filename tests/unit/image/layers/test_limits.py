"""What of an entry a guest can have. Where the kernel is the judge: tests/unit/disk/test_scratch_over_base.py."""

from __future__ import annotations

import struct

import pytest

from inferno.image.layers import limits
from inferno.image.layers.entry import CHAR, DIRECTORY, FIFO, FILE, SYMLINK, Entry
from rig.cache import CHECKOUT

CAPABILITY = b"\x01\0\0\x02" + bytes(16)


def acl(*entries: tuple[int, int, int], version: int = 2) -> bytes:
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NO_ID = 0xFFFFFFFF
PLAIN = ((1, 6, NO_ID), (4, 4, NO_ID), (32, 4, NO_ID))
NAMED = ((1, 6, NO_ID), (2, 7, 1000), (2, 4, 1001), (4, 4, NO_ID), (8, 4, 50), (16, 7, NO_ID), (32, 4, NO_ID))


def fitted(kind: bytes, *xattrs: tuple[bytes, bytes]) -> list[bytes]:
    """The names that are kept; the others are counted."""
    entry = Entry(b"x", kind, 0o644)
    entry.xattrs = list(xattrs)
    limits.fit(entry)
    kept = [name for name, _ in entry.xattrs or ()]
    assert (entry.lost or {}).get(limits.XATTR, (0, b""))[0] == len(xattrs) - len(kept)
    return kept


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(FILE, b"user.a", b""), (DIRECTORY, b"user.a", b"x"), (SYMLINK, b"trusted.a", b"x"), (FIFO, b"security.a", b"x"),
     (FILE, b"user." + b"n" * 250, b"x"), (FILE, b"user.a", b"x" * limits.MAX_VALUE_BYTES),
     (FILE, b"user.a\xff \n=", b"x"),
     (FILE, b"security.capability", CAPABILITY), (FILE, b"security.capability", b"\0\0\0\x03" + bytes(20)),
     (FILE, b"security.selinux", b"system_u\0"), (FILE, b"system.posix_acl_access", acl(*PLAIN)),
     (CHAR, b"system.posix_acl_access", acl(*NAMED)), (DIRECTORY, b"system.posix_acl_default", acl(*NAMED))],
)  # fmt: skip
def test_what_all_three_file_systems_take_is_kept(kind: bytes, name: bytes, value: bytes) -> None:
    assert fitted(kind, (name, value)) == [name]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(FILE, b"com.apple.provenance", b"x"), (FILE, b"system.nfs4_acl", b"x"), (FILE, b"os2.x", b"x"), (FILE, b"", b"x"),
     (FILE, b"user.", b"x"), (FILE, b"trusted.", b"x"), (FILE, b"User.a", b"x"), (FILE, b"user.a\0b", b"x"),
     (FILE, b"user." + b"n" * 251, b"x"), (FILE, b"user.a", b"x" * (limits.MAX_VALUE_BYTES + 1)),
     (FILE, b"trusted.overlay.redirect", b"/etc"), (DIRECTORY, b"user.overlay.opaque", b"y"),
     (SYMLINK, b"user.a", b"x"), (FIFO, b"user.a", b"x"), (CHAR, b"user.a", b"x"),
     (FILE, b"security.capability", b"zz"), (FILE, b"security.capability", b"\x01\0\0\x01" + bytes(8)),
     (FILE, b"security.capability", b"\x02\0\0\x02" + bytes(16)), (DIRECTORY, b"security.capability", CAPABILITY),
     (FILE, b"security.capability", b"\0\0\0\x03" + bytes(16) + b"\xff" * 4),
     (FILE, b"system.posix_acl_access", b"zz"), (FILE, b"system.posix_acl_access", acl()),
     (FILE, b"system.posix_acl_access", acl(*PLAIN, version=1)), (FILE, b"system.posix_acl_access", acl(*PLAIN[:2])),
     (FILE, b"system.posix_acl_access", acl(*PLAIN[::-1])),
     (FILE, b"system.posix_acl_access", acl((1, 8, 0), *PLAIN[1:])),
     (FILE, b"system.posix_acl_access", acl(*NAMED[:5], NAMED[6])), (FILE, b"system.posix_acl_default", acl(*PLAIN)),
     (DIRECTORY, b"system.posix_acl_default", acl((1, 6, 0), (2, 7, NO_ID), *NAMED[3:])),
     (SYMLINK, b"system.posix_acl_access", acl(*PLAIN))],
)  # fmt: skip
def test_what_one_of_them_refuses_is_left_out(kind: bytes, name: bytes, value: bytes) -> None:
    assert fitted(kind, (name, value)) == []


def test_where_there_is_no_room_for_all_security_goes_first_and_small_ones_before_large() -> None:
    many = [(b"user.%04d" % number, b"v" * 100) for number in range(60)]
    kept = fitted(FILE, *many, (b"user.small", b"s"), (b"security.capability", CAPABILITY))
    assert {b"security.capability", b"user.small"} <= set(kept)
    assert 15 < len(kept) < 40
    assert kept == sorted(kept[:-2]) + kept[-2:]  # in the layer's order
    large = [(b"user.%d" % number, b"v" * 30_000) for number in range(6)]
    assert len(fitted(FILE, *large)) == 4  # 128 KiB in all


@pytest.mark.parametrize("ns", [limits.MIN_TIME_NS, -1, 0, limits.MAX_TIME_NS])
def test_times_that_ext4_holds_stay_as_they_are(ns: int) -> None:
    entry = Entry(b"x", FILE, 0o644)
    entry.mtime_ns = ns
    assert not limits.is_odd(entry)


def test_the_line_counts_each_kind_and_names_the_first() -> None:
    told = limits.LeftOut()
    told.add(limits.XATTR, "srv/x: com.apple.provenance", 2)
    told.add(limits.TIME, "srv/y")
    told.add(limits.XATTR, "srv/z: com.apple.quarantine")
    assert told.told() == "1 times (the first: srv/y), 3 xattrs (the first: srv/x: com.apple.provenance)"
    assert limits.LeftOut().told() == ""


def test_the_docs_have_the_largest_value() -> None:
    assert f"values beyond {limits.MAX_VALUE_BYTES:,}," in (CHECKOUT / "docs/images.md").read_text()
