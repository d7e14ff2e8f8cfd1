"""Copying what is data in a file, and leaving its holes alone: a template of gigabytes is a few hundred KiB."""

from __future__ import annotations

import errno
import fcntl
import os

_FICLONE = 0x40049409  # include/uapi/linux/fs.h
_CHUNK_BYTES = 1 << 30
# What file systems say that cannot share blocks, or cannot copy between these two files.
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS)


def clone(source: int, target: int) -> None:
    """Make the empty file `target` a copy: all blocks shared where the file system can (reflink), else as `copy`."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    else:
        return
    os.ftruncate(target, os.fstat(source).st_size)
    copy(source, target)


def copy(source: int, target: int) -> None:
    """Copy what is data in the file `source` to the same place of `target`, a file or device of zeroes."""
    end = 0
    while (begin := _next_data(source, end)) is not None:
        end = os.lseek(source, begin, os.SEEK_HOLE)
        while begin < end:
            begin += _copy_range(source, target, begin, min(end - begin, _CHUNK_BYTES))


def _next_data(source: int, offset: int) -> int | None:
    try:
        return os.lseek(source, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # only a hole follows
            return None
        raise


def _copy_range(source: int, target: int, offset: int, length: int) -> int:
    """Copy some of the range, within the kernel where it can; return how many bytes."""
    try:
        copied = os.copy_file_range(source, target, length, offset, offset)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        copied = os.pwrite(target, os.pread(source, min(length, 1 << 20), offset), offset)
    if not copied:
        raise OSError(errno.EIO, "the template became shorter while it was copied")
    return copied
