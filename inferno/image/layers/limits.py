"""What a file of an image may have, so that a guest can see it and change it: the limits of EROFS, ext4 and overlayfs.

A guest's root is an overlay of the base (EROFS) and the scratch (ext4), and a file is copied from one to the other,
with its owner, times and xattrs, before it is changed. Where a file system does not take one of them the whole copy
fails, and the guest cannot write to that file at all. So they are held to what all three can have: `fit` changes an
entry, and notes in it what it lost. What no file system can have at all, `impossible` says.
"""

from __future__ import annotations

import stat
import struct

from inferno.image.layers.entry import BLOCK_DEVICE, CHAR, DIRECTORY, FIFO, FILE, SYMLINK, Entry

# What can be lost, as it is called in the line that counts it.
XATTR, TIME, OWNER, NAME, DEVICE, LINK = "xattrs", "times", "owners", "names", "devices", "symlinks"

_SECOND_NS = 1_000_000_000
# An ext4 with inodes of 256 bytes has 34 bits of seconds, from 1901-12-13 to 2446-05-10, and would change others when a
# file is copied: Documentation/filesystems/ext4/inodes.rst, "Inode Timestamps".
MIN_TIME_NS = -(1 << 31) * _SECOND_NS
MAX_TIME_NS = ((1 << 34) - (1 << 31) - 1) * _SECOND_NS  # without a fraction: fs/inode.c, timestamp_truncate
# (uid_t) -1 is not a user: chown(2) takes it for "unchanged", and nobody may write to what has it as its owner.
_MAX_ID = (1 << 32) - 2
NOBODY = 65534  # /proc/sys/kernel/overflowuid
_SET_IDS = stat.S_ISUID | stat.S_ISGID
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1  # include/linux/kdev_t.h
MAX_LINK_BYTES = 4095  # a page, and ext4's block, with a NUL
MAX_NAME_BYTES = 255  # NAME_MAX, include/uapi/linux/limits.h
MAX_PATH_BYTES = 4094  # PATH_MAX, without the root's slash and the NUL

# EROFS and ext4 know these namespaces; of the last it is these two names.
_NAMESPACES = (b"user.", b"trusted.", b"security.")
_ACCESS, _DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
_CAPABILITY = b"security.capability"
# These would steer the overlay that the guest lays over the base, not the file they are on.
_OVERLAYS = (b"trusted.overlay.", b"user.overlay.")
_MAX_XATTR_NAME_BYTES = 255  # XATTR_NAME_MAX
# mkfs.erofs 1.7 and 1.8 have room for a pax header of 32 KiB: with its name, key and length.
MAX_VALUE_BYTES = (1 << 15) - _MAX_XATTR_NAME_BYTES - len("32768 SCHILY.xattr.=\n")
# EROFS counts an inode's in 4-byte words, by 16 bits: mkfs.erofs 1.8 writes more, and what it writes cannot be read.
_MAX_VALUES_BYTES = 1 << 17
# Names and small values share one block of ext4, 4 KiB; what is larger than half of it has an inode of its own
# (ea_inode; EXT4_XATTR_MIN_LARGE_EA_SIZE, fs/ext4/xattr.h). A quarter is left to what the overlay and the guest add.
_BLOCK_BYTES, _OWN_INODE_BYTES = 3 << 10, 2 << 10
_XATTR_HEAD_BYTES = 16  # struct ext4_xattr_entry; names and values are rounded up to 4

# include/uapi/linux/capability.h: VFS_CAP_REVISION_2 and _3 with their sizes. Others cannot be set, nor copied.
_CAPABILITIES = {0x02000000: 20, 0x03000000: 24}
_EFFECTIVE = 1  # the only flag
# include/uapi/linux/posix_acl.h, posix_acl_xattr.h
_ACL_VERSION = 2
_ACL_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def impossible(entry: Entry) -> str | None:
    """What makes it impossible to have such a file at all, one of the words above; None for a good one."""
    if entry.kind in (CHAR, BLOCK_DEVICE):
        major, minor = entry.device
        is_whiteout = entry.kind == CHAR and entry.device == (0, 0)  # to overlayfs
        return None if 0 <= major <= _MAX_MAJOR and 0 <= minor <= _MAX_MINOR and not is_whiteout else DEVICE
    if entry.kind == SYMLINK and not 0 < len(entry.link) <= MAX_LINK_BYTES:
        return LINK
    return None


def fit(entry: Entry) -> None:
    """Hold an entry's owner, time and xattrs to what a guest can have. Called for each that may need it (`is_odd`)."""
    if not 0 <= entry.uid <= _MAX_ID or not 0 <= entry.gid <= _MAX_ID:
        entry.uid = entry.uid if 0 <= entry.uid <= _MAX_ID else NOBODY
        entry.gid = entry.gid if 0 <= entry.gid <= _MAX_ID else NOBODY
        entry.mode &= ~_SET_IDS  # they were another's
        entry.lose(OWNER, b"")
    if not MIN_TIME_NS <= entry.mtime_ns <= MAX_TIME_NS:
        entry.mtime_ns = min(max(entry.mtime_ns, MIN_TIME_NS), MAX_TIME_NS)
        entry.lose(TIME, b"")
    if entry.xattrs:
        entry.xattrs = _fitting(entry, entry.xattrs)


def _fitting(entry: Entry, xattrs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]] | None:
    """Those that can be had, in their order. Where there is no room for all, security's and ACLs go before others."""
    found = dict(xattrs)  # one twice: the last counts
    block = total = 0
    kept = set()
    for name in sorted(found, key=lambda name: (name.startswith((b"user.", b"trusted.")), len(found[name]))):
        size = len(found[name])
        needs = _XATTR_HEAD_BYTES + _padded(len(name)) + (_padded(size) if size <= _OWN_INODE_BYTES else 0)
        has_room = block + needs <= _BLOCK_BYTES and total + size <= _MAX_VALUES_BYTES
        if not has_room or not _can_have(entry.kind, name, found[name]):
            entry.lose(XATTR, name)
        else:
            block, total = block + needs, total + size
            kept.add(name)
    return [(name, value) for name, value in found.items() if name in kept] or None


def _padded(size: int) -> int:
    return -(-size // 4) * 4


def _can_have(kind: bytes, name: bytes, value: bytes) -> bool:
    if len(name) > _MAX_XATTR_NAME_BYTES or len(value) > MAX_VALUE_BYTES or b"\0" in name:
        return False
    if name in (_ACCESS, _DEFAULT):
        return kind in ((DIRECTORY,) if name == _DEFAULT else _WITH_ACL) and _is_acl(value)
    if not name.startswith(_NAMESPACES) or name in _NAMESPACES or name.startswith(_OVERLAYS):
        return False
    if name.startswith(b"user."):
        return kind in (FILE, DIRECTORY)  # xattr(7)
    return name != _CAPABILITY or (kind == FILE and _is_capability(value))


_WITH_ACL = (FILE, DIRECTORY, CHAR, BLOCK_DEVICE, FIFO)


def _is_capability(value: bytes) -> bool:
    """Whether the kernel would take it: security/commoncap.c, cap_convert_nscap."""
    magic = int.from_bytes(value[:4], "little")
    owner = int.from_bytes(value[20:24], "little")  # of the third revision: the root of the namespace it counts in
    return _CAPABILITIES.get(magic & ~_EFFECTIVE) == len(value) and owner <= _MAX_ID


def _is_acl(value: bytes) -> bool:
    """Whether the kernel would take it: fs/posix_acl.c, posix_acl_from_xattr and posix_acl_valid."""
    if len(value) < 4 or (len(value) - 4) % _ACL_ENTRY.size or int.from_bytes(value[:4], "little") != _ACL_VERSION:
        return False
    entries = list(_ACL_ENTRY.iter_unpack(value[4:]))
    tags = [tag for tag, _, _ in entries]
    once = [tag for tag in tags if tag not in (_USER, _GROUP)]
    named = len(once) < len(tags)
    wanted = [_USER_OBJ, _GROUP_OBJ, *([_MASK] if named or _MASK in once else []), _OTHER]
    return (
        once == wanted
        and tags == sorted(tags)
        and all(permissions <= 7 for _, permissions, _ in entries)
        and all(who <= _MAX_ID for tag, _, who in entries if tag in (_USER, _GROUP))
    )


def is_odd(entry: Entry) -> bool:
    """Whether `fit` has to look at it: most entries have nothing that could need it."""
    return (
        entry.xattrs is not None
        or not MIN_TIME_NS <= entry.mtime_ns <= MAX_TIME_NS
        or not 0 <= entry.uid <= _MAX_ID
        or not 0 <= entry.gid <= _MAX_ID
    )


class LeftOut:
    """How much was left out of a base, by kind, each with the first place where that was."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, place: str, count: int = 1) -> None:
        before = self._found.get(kind)
        self._found[kind] = (before[0] + count, before[1]) if before else (count, place)

    def told(self) -> str:
        """One line for a person; empty when nothing was. Places are at most 200 characters each (`entry.shown`)."""
        return ", ".join(f"{count} {kind} (the first: {place})" for kind, (count, place) in sorted(self._found.items()))
