"""A scratch as a file in the version's folder: a sparse copy of the template, which needs nothing of the host."""

from __future__ import annotations

import os
import stat

from inferno.base.errors import InfernoError
from inferno.disk import sparse_copy
from inferno.disk.need import Need
from inferno.settings import Settings


def make(_settings: Settings, need: Need) -> None:
    """Make the file, which belongs to the VM's uid and gid; what is there is replaced. Not synced.

    Raises InfernoError when the template is missing or the disk is full.
    """
    out = need.version.scratch
    making = out.with_name(f".{out.name}.tmp")
    with need.opened_template() as source:
        try:
            making.unlink(missing_ok=True)
            target = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                sparse_copy.clone(source, target)
                os.fchown(target, need.uid, need.gid)
            finally:
                os.close(target)
            os.replace(making, out)
        except OSError as error:
            raise InfernoError(f"{out}: {error.strerror}", "a scratch disk needs room below INFERNO_ROOT") from None
        finally:
            making.unlink(missing_ok=True)


def is_made(_settings: Settings, need: Need) -> bool:
    try:
        found = need.version.scratch.stat(follow_symlinks=False)
        size = need.template.stat().st_size
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (found.st_uid, found.st_size) == (need.uid, size)
