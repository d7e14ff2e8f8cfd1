"""A scratch as a thin snapshot, in an LVM pool, of a volume that holds the template.

Only volumes whose names say that they are Inferno's are ever removed, and of those that runs have left only the ones
that carry the tag of this INFERNO_ROOT. A note beside the jail stands before there is a snapshot, and until it is gone:
so it is found after a kill and a power cut, whatever the settings are by then.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.base.processes import CommandError
from inferno.disk import sparse_copy
from inferno.disk.backend import lvm_pool
from inferno.disk.backend.lvm_pool import Pool, lvm
from inferno.disk.need import Need
from inferno.settings import Settings
from inferno.state.paths import Paths, VersionDir

_RUN, _TEMPLATE, _MAKING = "inferno_run_", "inferno_template_", "inferno_making_"
_NOTE = "scratch.lv"
# Active now, and not again when the host boots: what is left of runs is looked at by nobody then.
_OURS = ("--yes", "--ignoreactivationskip", "--setactivationskip", "y", "--addtag")


def make(settings: Settings, need: Need) -> None:
    """Make the snapshot and its node, which belongs to the VM's uid and gid.

    Raises UsageError without a pool, InfernoError when that is too full, or the template is missing.
    """
    paths, tag = Paths(settings.root), _tag(settings.root)
    found = lvm_pool.read(settings.vg_name)
    found.check(settings.pool_max_percent)
    _collect(found, paths, tag)
    template = _ensure_template(found, need, paths, tag)
    name = _RUN + need.version.ulid
    _note(need.version, found.group)
    snapshot = ("--snapshot", "--permission", "rw", "--name", name)
    lvm("lvcreate", *snapshot, *_OURS, tag, f"{found.group}/{template}")
    _make_node(need, f"{found.group}/{name}")


def is_made(settings: Settings, need: Need) -> bool:
    try:
        found = need.version.scratch.stat(follow_symlinks=False)
        device = lvm_pool.node(f"{settings.vg_name}/{_RUN}{need.version.ulid}")
    except OSError:
        return False
    return stat.S_ISBLK(found.st_mode) and (found.st_uid, found.st_rdev) == (need.uid, device.st_rdev)


def remove(version: VersionDir) -> None:
    """Remove the version's snapshot, if a note says that there is one."""
    note = version.file(_NOTE)
    try:
        group = note.read_text().strip()
    except FileNotFoundError:
        return
    version.scratch.unlink(missing_ok=True)  # before its numbers are another device's
    _remove(group, _RUN + version.ulid)
    note.unlink()


def _remove(group: str, volume: str) -> None:
    done = lvm("lvremove", "--yes", f"{group}/{volume}", check=False)
    if done.status and not lvm_pool.is_missing(done):
        raise CommandError(["lvremove", f"{group}/{volume}"], done, "is it in use?")


def _tag(root: Path) -> str:
    """Several INFERNO_ROOTs may share a pool."""
    return f"inferno:{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"


def _collect(found: Pool, paths: Paths, tag: str) -> None:
    """Remove snapshots of versions that were deleted by hand."""
    for name, tags in found.volumes.items():
        if name.startswith(_RUN) and tag in tags and not paths.version(name.removeprefix(_RUN)).file(_NOTE).exists():
            lvm("lvremove", "--yes", f"{found.group}/{name}", check=False)  # in use: its VM still runs


def _note(version: VersionDir, group: str) -> None:
    """On disk before LVM's own metadata is."""
    files.write(version.file(_NOTE), f"{group}\n", 0o600)
    files.sync(version.dir)


def _make_node(need: Need, volume: str) -> None:
    out = need.version.scratch
    making = out.with_name(f".{out.name}.tmp")
    try:
        making.unlink(missing_ok=True)
        os.mknod(making, stat.S_IFBLK | 0o600, lvm_pool.node(volume).st_rdev)
        os.chown(making, need.uid, need.gid)
        os.replace(making, out)
    except OSError as error:
        raise InfernoError(f"{out}: {error.strerror}") from None
    finally:
        making.unlink(missing_ok=True)


def _ensure_template(found: Pool, need: Need, paths: Paths, tag: str) -> str:
    """The name of the volume that holds the template; made when it is not there."""
    name = need.template.parent.name.replace("scratch-", _TEMPLATE, 1)
    if name in found.volumes:
        return name
    making = _MAKING + tag.removeprefix("inferno:")
    with files.lock(paths.lock("thin-template"), "the template of scratch disks"):
        if name in lvm_pool.read(found.group).volumes:
            return name
        _remove(found.group, making)  # of one that was killed
        try:
            _fill(found, making, need, tag)
            lvm("lvrename", found.group, making, name)
        except InfernoError:
            _remove(found.group, making)
            if name not in lvm_pool.read(found.group).volumes:  # by another INFERNO_ROOT, meanwhile
                raise
    return name


def _fill(found: Pool, volume: str, need: Need, tag: str) -> None:
    """Make a thin volume with the bytes of the template, read-only and not active."""
    path = f"{found.group}/{volume}"
    with need.opened_template() as source:
        try:
            size = f"{os.fstat(source).st_size}b"
            lvm("lvcreate", "--thin", "--virtualsize", size, "--name", volume, *_OURS, tag, found.path)
            target = os.open(f"/dev/{path}", os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC)
            try:
                sparse_copy.copy(source, target)
                os.fsync(target)
            finally:
                os.close(target)
        except OSError as error:
            raise InfernoError(f"{path}: {error.strerror}") from None
    lvm("lvchange", "--activate", "n", path)
    lvm("lvchange", "--permission", "r", path)
