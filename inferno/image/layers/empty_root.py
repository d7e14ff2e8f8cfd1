"""A root for a program that reads hostile bytes: nothing of the host's but what it runs with, and that read-only.

There are neither other programs' files nor their sockets in it. What its open files are it has as before: they are
not found by a path.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

import inferno

# include/uapi/linux/mount.h, fcntl.h; the numbers of these calls are the same on all machines but for pivot_root's
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MNT_DETACH = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_READ_ONLY = struct.pack("=4Q", 0x1, 0, 1 << 18, 0)  # set MOUNT_ATTR_RDONLY, clear nothing, MS_PRIVATE, no user space
_READ_ONLY_NOSUID = struct.pack("=4Q", 0x1 | 0x2, 0, 1 << 18, 0)
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}  # arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h
# Of shared libraries, which the host's mkfs.erofs may need, and of Python's own modules.
_SHOWN = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null")
_PROGRAMS = ("/usr/bin", "/bin")
_PLACE = "/proc"  # where the new root is made: a folder that is there for certain, and is replaced anyway


def enter(libc: ctypes.CDLL, *, programs: bool = False) -> None:
    """Make the root, in a mount namespace of this process's own, and go into it. As root. Raises OSError.

    With `programs` those of the host are there, for a mkfs.erofs that is a script.
    """
    _set(libc, b"/", _READ_ONLY)
    _mount(libc, "tmpfs", _PLACE, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m,nr_inodes=1k")
    modules = (os.path.dirname(os.__file__), os.path.dirname(inferno.__file__))
    for path in dict.fromkeys((*_SHOWN, *(_PROGRAMS if programs else ()), *map(os.path.realpath, modules))):
        _show(libc, path)
    os.mkdir(f"{_PLACE}/proc")
    _set(libc, _PLACE.encode(), _READ_ONLY_NOSUID)
    os.chdir(_PLACE)
    _check(libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    _check(libc.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/")


def mount_proc(libc: ctypes.CDLL) -> None:
    """Processes of this PID namespace, and of the kernel's other files none where it can leave them out (5.8)."""
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    try:
        _mount(libc, "proc", "/proc", "proc", flags, "subset=pid")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mount(libc, "proc", "/proc", "proc", flags, "")


def _show(libc: ctypes.CDLL, path: str) -> None:
    """The same folder, file or link in the new root; nothing where there is none."""
    there = _PLACE + path
    if not os.path.lexists(path) or os.path.lexists(there):
        return
    os.makedirs(os.path.dirname(there), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), there)
        return
    if os.path.isdir(path):
        os.mkdir(there)
    else:
        os.close(os.open(there, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
    _mount(libc, path, there, "", _MS_BIND | _MS_REC, "")


def _set(libc: ctypes.CDLL, path: bytes, attributes: bytes) -> None:
    """mount_setattr(2) of all mounts there. A call of Linux 5.12."""
    done = libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path, _AT_RECURSIVE, ctypes.c_char_p(attributes), len(attributes))
    _check(done, "mount_setattr")


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str, flags: int, options: str) -> None:
    words = (source.encode(), target.encode(), kind.encode() or None)
    _check(libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
