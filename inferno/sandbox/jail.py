"""The jail of a version, vms/kiln/<ULID>/root: laid out before each start from root's trusted files beside it.

The jailer refuses a chroot that was used, and the VM's uid owns the `/` of one that was, so a jail serves one start.
Laying it out is a handful of hard links: no byte is copied, and what VMs share stays root's and read-only. The
exec-file is never put there: the jailer copies it in, and before 1.13.2 would write into a hard link of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.sandbox import cgroup, removal
from inferno.state.paths import VersionDir
from inferno.wire.shared import KILN_CONFIG, START_CONFIG

# What lies beside the jail and is linked into it, with the permissions that let the VM's uid read, never write. What
# other VMs use too anybody may read who gets there; what is the VM's own belongs to its group when it is laid out.
SHARED = {"firecracker": 0o555, "vmlinux": 0o444, "rootfs.img": 0o444}
OWN = {KILN_CONFIG: 0o400, "firecracker.json": 0o400, "initrd.cpio": 0o400}
_OWN_MODE = 0o440
SCRATCH = "scratch.img"
# What the jailer of Firecracker < 1.13 is to be given (DESIGN 7): it makes <base>/<name of the exec-file>/<id>/root.
_OLD_EXEC_NAME = "firecracker-kiln"
_MAKING = "root.tmp"


def lay_out(version: VersionDir, exec_name: str, gid: int) -> None:
    """Make the jail anew; the scratch disk must be there. Nothing but that belongs to the VM's uid; `gid`, the VM's,
    may read what is its own.

    What is there is removed first. Raises InfernoError while the VM runs, or when a trusted file is missing or not
    root's alone: then the version is broken, and the next create makes another.
    """
    remove(version)
    making = version.dir / _MAKING
    making.mkdir(0o700)
    try:
        for name, mode in {**SHARED, **OWN}.items():
            check_trusted(version.file(name), mode)
            if name in OWN:
                os.chown(version.file(name), 0, gid, follow_symlinks=False)
                version.file(name).chmod(_OWN_MODE)
            os.link(version.file(name), making / name, follow_symlinks=False)
        os.link(version.scratch, making / SCRATCH, follow_symlinks=False)
    except FileNotFoundError as error:
        raise InfernoError(f"{error.filename} is missing", "create the VM again; its spec is remembered") from None
    if exec_name == _OLD_EXEC_NAME:
        _make_old_name(version)
    os.rename(making, version.jail)


def is_fresh(version: VersionDir, gid: int) -> bool:
    """Whether the jail is laid out for the group `gid` from the files of now, and was never used: the jailer makes `/`
    the VM's own."""
    expected = {*SHARED, *OWN, SCRATCH}
    try:
        with opened(version) as jail:
            info = os.fstat(jail)
            if info.st_uid != 0 or stat.S_IMODE(info.st_mode) != 0o700 or set(os.listdir(jail)) != expected:
                return False
            if any(os.stat(name, dir_fd=jail, follow_symlinks=False).st_gid != gid for name in OWN):
                return False
            return all(
                os.path.samestat(
                    os.stat(name, dir_fd=jail, follow_symlinks=False),
                    os.stat(version.file(name), follow_symlinks=False),
                )
                for name in expected
            )
    except OSError:
        return False


def hand_over(version: VersionDir, start: bytes, gid: int, *, is_read: bool) -> None:
    """Put start.json beside the fresh jail, and into it if what runs there reads it: as the group `gid`, the VM's.
    Nothing has run in it yet.

    It is for one run: no care is taken that a power cut leaves it whole.
    """
    version.start.unlink(missing_ok=True)
    descriptor = os.open(version.start, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        os.fchown(descriptor, 0, gid)
        os.fchmod(descriptor, _OWN_MODE)
        file.write(start)
    if is_read:
        with opened(version) as root:
            os.link(version.start, START_CONFIG, dst_dir_fd=root, follow_symlinks=False)


def remove(version: VersionDir) -> None:
    """Remove the jail, whatever is in it, and start.json; none is fine. Raises InfernoError while the VM runs."""
    if cgroup.populated(version.ulid):
        raise InfernoError(f"version {version.ulid} runs: its jail cannot be removed", "stop the VM first")
    for name in (version.jail.name, _MAKING):
        removal.remove(version.dir, name)
    version.start.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(version: VersionDir) -> Iterator[int]:
    """A descriptor of the jail's `/`. Raises FileNotFoundError without one, OSError when it is not a directory."""
    descriptor = os.open(version.jail, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def bound(root: int, name: str, kind: socket.SocketKind, mode: int) -> Iterator[socket.socket]:
    """A Unix socket of that name and mode in the fresh jail whose `/` is `root`. It does not block. Raises OSError."""
    path = f"/proc/self/fd/{root}/{name}"  # a socket's path has at most 107 bytes
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as made:
        made.bind(path)
        os.chmod(path, mode)  # the jail has not run yet: this is the socket just made
        yield made


def check_trusted(path: Path, mode: int) -> None:
    """Raise InfernoError unless it is a regular file of root's that nobody else writes, with the permissions `mode`.

    Raises FileNotFoundError without one.
    """
    info = os.stat(path, follow_symlinks=False)
    if not stat.S_ISREG(info.st_mode) or info.st_uid != 0 or info.st_mode & 0o022 or info.st_mode & mode != mode:
        raise InfernoError(
            f"{path} is not what create made (a regular file of root's, mode {mode:04o})", "create the VM again"
        )


def _make_old_name(version: VersionDir) -> None:
    """vms/firecracker-kiln -> kiln, so that the jailer's path leads to vms/kiln all the same."""
    link = version.dir.parent.with_name(_OLD_EXEC_NAME)
    with contextlib.suppress(OSError):
        if os.readlink(link) == version.dir.parent.name:
            return
    files.symlink(version.dir.parent.name, link)
