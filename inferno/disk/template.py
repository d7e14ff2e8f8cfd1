"""The template of scratch disks: an ext4 formatted once, of which each run gets a copy or a snapshot.

A scratch is thrown away at stop, so it has no journal and no checksums; and nothing in it waits to be initialised, so
the guest's kernel starts no thread to write inode tables. What is not a hole of it is a few hundred KiB.

A file of the base is copied here before the guest changes it, with all its xattrs. One block has room for 4 KiB of
them; with `ea_inode` larger values get inodes of their own.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.base.processes import CommandError, run
from inferno.settings import Settings
from inferno.state.paths import Paths

_NAME = "scratch.img"
# Everything that varies is given: same size and same e2fsprogs, same bytes. An id of our own, the same for all: no two
# of them are ever in one guest.
_UUID = "1fe24047-0000-4000-8000-5c2a7c4c0000"
_FEATURES = (
    "none,64bit,dir_index,dir_nlink,ea_inode,ext_attr,extent,extra_isize,filetype,flex_bg,huge_file,large_file,"
    "sparse_super"
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


_MAX_INODES = (1 << 32) - 1  # s_inodes_count, Documentation/filesystems/ext4/super.rst


def _options(settings: Settings) -> tuple[tuple[str, str], ...]:
    return (*_OPTIONS, ("-i", str(settings.scratch_bytes_per_inode)))


def path(settings: Settings) -> Path:
    """Where the template of the settings is, or will be: its folder is named by the size and by how it is made."""
    recipe = hashlib.sha256(repr(_options(settings)).encode()).hexdigest()[:12]
    return Paths(settings.root).store / f"scratch-{settings.rootfs_size_mb}-{recipe}" / _NAME


def ensure(settings: Settings) -> Path:
    """The template of the settings, formatted when it is not there.

    Raises UsageError for more inodes than an ext4 may have, MissingToolError, InfernoError.
    """
    template = path(settings)
    if template.exists():
        return template
    if (settings.rootfs_size_mb << 20) // settings.scratch_bytes_per_inode > _MAX_INODES:
        raise UsageError(
            f"a scratch disk of {settings.rootfs_size_mb} MiB cannot have an inode for each "
            f"{settings.scratch_bytes_per_inode} bytes: ext4 has 32 bits for them",
            "raise INFERNO_SCRATCH_BYTES_PER_INODE, or lower ROOTFS_SIZE_MB",
        )
    with files.lock(Paths(settings.root).lock(template.parent.name), "the template of scratch disks"):
        if not template.exists():
            _make(template, settings)
    return template


def _make(template: Path, settings: Settings) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    making = template.with_name(f".{template.name}.tmp")
    try:
        with making.open("wb") as file:
            file.truncate(settings.rootfs_size_mb << 20)
        words = [word for option in _options(settings) for word in option]
        # SOURCE_DATE_EPOCH is honoured since e2fsprogs 1.47.1, the other since ever.
        run(["mke2fs", "-q", "-F", *words, making], env={"E2FSPROGS_FAKE_TIME": "1", "SOURCE_DATE_EPOCH": "1"})
        making.chmod(0o444)
        os.replace(making, template)
    except CommandError as error:
        if os.strerror(errno.ENOSPC) in error.output:
            raise files.disk_full(template) from None
        raise
    except OSError as error:
        raise (
            files.disk_full(template) if files.is_full(error) else InfernoError(f"{template}: {error.strerror}")
        ) from None
    finally:
        making.unlink(missing_ok=True)
