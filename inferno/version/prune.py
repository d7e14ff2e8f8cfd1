"""Removing versions: those that a create has replaced, and what killed creates left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from inferno.base import files
from inferno.disk import scratch
from inferno.sandbox import jail
from inferno.state.paths import Paths, VersionDir
from inferno.version import versions


def sweep(paths: Paths, name: str, running: Callable[[str], bool]) -> None:
    """Remove versions of VM `name` that are neither current nor running, and what killed creates left, of any VM.

    The caller holds the VM's lock, so an unfinished version of this VM is nobody's.
    """
    keep = versions.current(paths, name)
    for each in versions.owned(paths, name):
        if each != keep and not running(each.ulid):
            remove(paths, name, each)
    for entry in os.listdir(paths.versions) if paths.versions.is_dir() else ():
        if entry.endswith(".tmp"):
            _remove_unfinished(paths, entry)
    for stale in [*paths.vm(name).glob(".*.tmp"), *paths.vm(name).glob("build/.*.tmp")]:
        stale.unlink(missing_ok=True)


def remove(paths: Paths, name: str, gone: VersionDir) -> None:
    """Remove a version of VM `name`, finished or not, with its jail and scratch. Raises InfernoError while it runs."""
    jail.remove(gone)
    scratch.remove(gone)
    files.remove_tree(gone.dir)
    files.remove_tree(gone.unfinished(name))
    link = paths.owned(name) / gone.ulid  # last: killed before, this is done again
    link.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it has others
        link.parent.rmdir()


def _remove_unfinished(paths: Paths, entry: str) -> None:
    """`<ULID>.<VM>.tmp` of another VM is nobody's when that VM's lock is free."""
    ulid, owner, _ = entry.split(".")
    with contextlib.suppress(files.BusyError), files.lock(paths.vm_lock(owner), "sweep", wait=False):
        remove(paths, owner, paths.version(ulid))
