"""The scratch: the writable layer of one run, a sparse ext4 copied from a template that was formatted once.

It is thrown away at stop, so it has no journal and no checksums; and nothing in it waits to be initialised, so the
guest's kernel starts no thread to write inode tables. Copying takes the few hundred KiB that are not holes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

from inferno import files
from inferno.config import Settings
from inferno.errors import InfernoError
from inferno.paths import Paths
from inferno.run import run

_NAME = "scratch.img"
# Everything that varies is given: same size and same e2fsprogs, same bytes. An id of our own, the same for all: no two
# of them are ever in one guest.
_UUID = "1fe24047-0000-4000-8000-5c2a7c4c0000"
_FEATURES = (
    "none,64bit,ext_attr,dir_index,dir_nlink,extent,extra_isize,filetype,flex_bg,huge_file,large_file,sparse_super"
)
_OPTIONS = (
    ("-t", "ext4"),
    ("-O", _FEATURES),
    ("-b", "4096"),
    ("-I", "256"),
    ("-m", "0"),
    ("-L", "scratch"),
    ("-U", _UUID),
    ("-E", f"hash_seed={_UUID},lazy_itable_init=0,root_owner=0:0,discard"),
)
_FICLONE = 0x40049409  # include/uapi/linux/fs.h
_CHUNK_BYTES = 1 << 30
# What file systems say that cannot share blocks, or cannot copy between these two files.
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS)


def ensure_template(settings: Settings) -> Path:
    """The template of ROOTFS_SIZE_MB, formatted when it is not there. Raises MissingToolError, InfernoError."""
    recipe = hashlib.sha256(repr(_OPTIONS).encode()).hexdigest()[:12]
    paths = Paths(settings.root)
    folder = paths.store / f"scratch-{settings.rootfs_size_mb}-{recipe}"
    template = folder / _NAME
    if template.exists():
        return template
    with files.lock(paths.lock(folder.name), "the template of scratch disks"):
        if not template.exists():
            _make_template(template, settings.rootfs_size_mb)
    return template


def make_scratch(template: Path, out: Path, uid: int, gid: int) -> None:
    """Make `out` a copy of the template that belongs to `uid`, `gid`; what is there is replaced. Not synced.

    The caller holds the VM's lock. Raises InfernoError when the template is missing or the disk is full.
    """
    try:
        source = os.open(template, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InfernoError(f"{template} is missing", "create the VM again; its spec is remembered") from None
    making = out.with_name(f".{out.name}.tmp")
    try:
        making.unlink(missing_ok=True)
        target = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _copy(source, target)
            os.fchown(target, uid, gid)
        finally:
            os.close(target)
        os.replace(making, out)
    except OSError as error:
        raise InfernoError(f"{out}: {error.strerror}", "a scratch disk needs room below INFERNO_ROOT") from None
    finally:
        os.close(source)
        making.unlink(missing_ok=True)


def _make_template(template: Path, size_mb: int) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    making = template.with_name(f".{template.name}.tmp")
    try:
        with making.open("wb") as file:
            file.truncate(size_mb << 20)
        words = [word for option in _OPTIONS for word in option]
        # SOURCE_DATE_EPOCH is honoured since e2fsprogs 1.47.1, the other since ever.
        run(["mke2fs", "-q", "-F", *words, making], env={"E2FSPROGS_FAKE_TIME": "1", "SOURCE_DATE_EPOCH": "1"})
        making.chmod(0o444)
        os.replace(making, template)
    except OSError as error:
        raise InfernoError(f"{template}: {error.strerror}") from None
    finally:
        making.unlink(missing_ok=True)


def _copy(source: int, target: int) -> None:
    """Share all blocks where the file system can (reflink); else copy what is data, and leave the holes holes."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    else:
        return
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
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
