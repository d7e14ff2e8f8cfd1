"""The scratch: the writable layer of one run. INFERNO_STORAGE says what it is: a file, or a snapshot in a thin pool.

Whatever it is, a version has it as `scratch.img`, a file or the node of a block device, which the jail links to. It is
removed by what is there, not by the settings: those may have changed while the VM ran.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Protocol

from inferno.base import requirements
from inferno.base.errors import InfernoError
from inferno.disk.backend import file, lvm, lvm_pool
from inferno.disk.need import Need
from inferno.settings import FILE, LVM, Settings
from inferno.state.paths import VersionDir


class _Storage(Protocol):
    def make(self, settings: Settings, need: Need, /) -> None: ...
    def is_made(self, settings: Settings, need: Need, /) -> bool: ...


_STORAGES: dict[str, _Storage] = {FILE: file, LVM: lvm}


def tools(settings: Settings) -> tuple[requirements.Check, ...]:
    """What a start needs of this host for its scratch."""
    if settings.storage != LVM:
        return ()
    return (requirements.tool("lvcreate", "scratch disks are snapshots in a thin pool (INFERNO_STORAGE)"),)


def checks(settings: Settings) -> tuple[requirements.Check, ...]:
    """The same, and whether it has room: what `doctor` looks at."""
    if settings.storage != LVM:
        return ()
    room = requirements.Check("the thin pool", "scratch disks are snapshots in it", lambda: lvm_pool.check(settings))
    return (*tools(settings), room)


def free_mib(settings: Settings) -> int | None:
    """What is free where scratch files grow; None where they are in a pool, which is looked at by `make`."""
    if settings.storage == LVM:
        return None
    place = next(path for path in (settings.root, *settings.root.parents) if path.exists())
    found = os.statvfs(place)
    return (found.f_bavail * found.f_frsize) >> 20


def used_mib(version: VersionDir) -> int:
    """What a scratch file has grown to; 0 without one."""
    try:
        info = version.scratch.stat(follow_symlinks=False)
    except OSError:
        return 0
    return info.st_blocks * 512 >> 20 if stat.S_ISREG(info.st_mode) else 0  # stat(2): of 512 bytes on every disk


def make(settings: Settings, need: Need) -> None:
    """Make the scratch; what is there is removed first. The caller holds the VM's lock.

    Raises InfernoError when the template is missing, or there is no room.
    """
    remove(need.version)
    _STORAGES[settings.storage].make(settings, need)


def is_made(settings: Settings, need: Need) -> bool:
    """Whether it is there, as `make` would make it. Whether it was used is not to be seen."""
    return _STORAGES[settings.storage].is_made(settings, need)


def empty(version: VersionDir) -> None:
    """Give a file's blocks back, whatever links there are to it. Nothing runs that could use it."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(version.scratch.stat(follow_symlinks=False).st_mode):
            os.truncate(version.scratch, 0)


def remove(version: VersionDir) -> None:
    """Remove the version's scratch; none is fine. The jail, which has a link to it, is gone already."""
    lvm.remove(version)
    try:
        version.scratch.unlink(missing_ok=True)
    except OSError as error:
        raise InfernoError(f"{version.scratch} cannot be removed: {error.strerror}") from None


def size(version: VersionDir) -> int:
    """In bytes. Raises OSError without one."""
    info = version.scratch.stat(follow_symlinks=False)
    if not stat.S_ISBLK(info.st_mode):
        return info.st_size
    device = Path(f"/sys/dev/block/{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}")
    return int((device / "size").read_text()) * 512  # sectors, whatever the device's own: Documentation/ABI
