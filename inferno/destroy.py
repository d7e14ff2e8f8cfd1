"""Removes a VM and everything that is its own; what it shares goes when no other version links to it.

Nothing is expected to be there: a TAP, a directory or a row that was removed by hand is no obstacle. The row goes
last, so that a killed destroy can be asked for again, and its slot is nobody else's before all of it is free.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

from inferno import files, jail, store, version
from inferno.config import Settings
from inferno.disk import scratch
from inferno.errors import UsageError
from inferno.instance import Instance
from inferno.paths import Paths, VersionDir
from inferno.slot import Slot
from inferno.state import State
from inferno.stop import Request, stop


def destroy(settings: Settings, state: State, name: str, *, keep_logs: bool = False) -> None:
    """Kill VM `name` if it runs, and remove it. The caller holds its lock.

    Raises UsageError when there is no trace of such a VM.
    """
    check(settings, state, name)
    paths = Paths(settings.root)
    found = list(_versions(paths, name))
    vm = _find(settings, state, name, found)
    stop(vm, Request(timeout_s=0, kill=True))
    for each in found:
        jail.remove(each)
        scratch.remove(each)
        files.remove_tree(each.dir)
    _remove_unfinished(paths, name)
    files.remove_tree(paths.vm(name))
    if not keep_logs:
        for log in paths.logs.glob(f"{name}.log*"):  # rotated ones too; a name holds no dot
            files.remove_tree(log)
    state.remove(name)
    store.collect(paths)


def check(settings: Settings, state: State, name: str) -> None:
    """Raise UsageError, with a guess, when there is no trace of such a VM."""
    paths = Paths(settings.root)
    if state.vm(name) or paths.vm(name).is_dir() or any(_versions(paths, name)):
        return
    near = difflib.get_close_matches(name, state.names(), 1)
    raise UsageError(f"there is no VM {name!r}", f"did you mean {near[0]!r}?" if near else "infernoctl list")


def _find(settings: Settings, state: State, name: str, found: list[VersionDir]) -> Instance:
    row = state.vm(name)
    if row is not None:
        return Instance.of(settings, row)
    # Without a row the slot is what the newest version says, unless another VM has it now: then its TAP is not ours.
    records = [record for record in map(version.read, found) if record]
    known = [record["slot"] for record in records[-1:] if state.vm_at(record["slot"]) is None]
    slot = known[0] if known else state.reserve(name).slot
    return Instance(settings, name, Slot(slot), found[-1].ulid if found else None)


def _versions(paths: Paths, name: str) -> Iterator[VersionDir]:
    """All versions of the VM, by what they say of themselves, the newest last: ULIDs sort by time."""
    try:
        entries = sorted(os.listdir(paths.versions))
    except FileNotFoundError:
        return
    for entry in entries:
        record = version.read(paths.version(entry)) if entry.isalnum() else None
        if record and record.get("name") == name:
            yield paths.version(entry)


def _remove_unfinished(paths: Paths, name: str) -> None:
    """<ULID>.<name>.tmp, of a create that was killed."""
    for unfinished in paths.versions.glob(f"*.{name}.tmp"):
        files.remove_tree(unfinished)
