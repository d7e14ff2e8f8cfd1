"""Trusted copies of what jails are made of: root-owned, read-only, one real copy per content, hard-linked from there.

A copy made once (not a link to the artifact, which a build may rewrite in place) keeps running VMs as they are.
A file whose only link is the store's own is used by no version, and `collect` removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from inferno.base import files
from inferno.state.paths import Paths


def put(paths: Paths, source: Path, name: str, *, executable: bool = False) -> tuple[str, Path]:
    """Make sure that the store holds `source`'s content; return its hex sha256 and the stored path.

    The caller holds the lock `store` (shared or not) until its own hard link exists, so that `collect` leaves it.
    """
    digest = files.sha256(source)
    stored = paths.stored(digest, name)
    if not stored.exists():
        with files.nameless(stored.parent) as copy:  # which a kill leaves nothing of
            shutil.copyfile(source, f"/proc/self/fd/{copy}")  # sendfile inside: no byte passes through Python
            if files.sha256(Path(f"/proc/self/fd/{copy}")) != digest:
                raise OSError(f"{source} changed while it was copied")
            os.fchmod(copy, 0o555 if executable else 0o444)
            with contextlib.suppress(FileExistsError):  # another was first: its file is as good
                files.give_name(copy, stored)
    return digest, stored


def lock(paths: Paths, *, exclusive: bool = False) -> contextlib.AbstractContextManager[None]:
    """Held shared while links into the store are made, exclusive while it is collected."""
    return files.lock(paths.lock("store"), "the store", shared=not exclusive, keep=True)


def collect(paths: Paths) -> list[Path]:
    """Remove what no version links to; return the removed paths. Templates of scratch disks stay."""
    removed: list[Path] = []
    with lock(paths, exclusive=True):
        for folder in paths.store.iterdir() if paths.store.is_dir() else ():
            if folder.name.startswith("scratch-"):
                continue
            for entry in list(folder.iterdir()):
                if entry.stat(follow_symlinks=False).st_nlink == 1:
                    entry.unlink()
                    removed.append(entry)
            with contextlib.suppress(OSError):
                folder.rmdir()
    return removed
