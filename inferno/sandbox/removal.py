"""Deletes a directory tree that an attacker may have made, as root: by descriptor, at any depth, off no mount.

A jail that ran can hold anything its uid could make: symlinks to /etc, ten thousand levels of directories, fifos,
names of any bytes. Nothing is followed, and no path longer than one name is ever looked up. Depth costs neither
recursion nor descriptors: a directory found inside is first moved out into a trash directory of root's own, by a
rename, which the kernel refuses (EBUSY) where something is mounted; so what hangs below a mount is never reached.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from inferno.base.errors import InfernoError

_TRASH = ".gone"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(parent: Path, name: str) -> None:
    """Delete `parent/name` and all below it; `parent` is root's own. Nothing there is fine.

    The name is free at once, by one rename; what a kill in the middle leaves, the next call finishes, whatever its
    name. Raises InfernoError when something is mounted there, or the disk fails.
    """
    try:
        directory = os.open(parent, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        if _is_directory(directory, name):
            with contextlib.suppress(FileExistsError):
                os.mkdir(_TRASH, 0o700, dir_fd=directory)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
        _empty_trash(directory, name)
    except OSError as error:
        raise _explained(error, parent / name) from None
    finally:
        os.close(directory)


def _empty_trash(directory: int, name: str) -> None:
    try:
        trash = os.open(_TRASH, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            _throw(directory, name, trash)
        while found := os.listdir(trash):
            for one in found:
                _empty(one, trash)
    finally:
        os.close(trash)
    os.rmdir(_TRASH, dir_fd=directory)


def _empty(name: str, trash: int) -> None:
    """Delete one directory of the trash; what directories it holds become the trash's own."""
    descriptor = os.open(name, _DIRECTORY, dir_fd=trash)
    try:
        again = True
        while again:  # a listing that is changed while it is read may miss entries
            again = False
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    again = True
                    if entry.is_dir(follow_symlinks=False):
                        _throw(descriptor, entry.name, trash)
                    else:
                        os.unlink(entry.name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=trash)


def _throw(source: int, name: str, trash: int) -> None:
    """Move a directory into the trash, under a name that nobody there has."""
    os.rename(name, os.urandom(8).hex(), src_dir_fd=source, dst_dir_fd=trash)


def _is_directory(directory: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _explained(error: OSError, where: Path) -> InfernoError:
    if error.errno == errno.EBUSY:
        return InfernoError(f"{where}: something is mounted in it", f"umount it (findmnt --list | grep {where.parent})")
    return InfernoError(f"{where} cannot be removed: {error.strerror}")
