"""Removes a VM and everything that is its own; what it shares goes when no other version links to it.

Nothing is expected to be there: a TAP, a directory or a row that was removed by hand is not an obstacle. The row goes
last, so that a killed destroy can be asked for again, and its slot is nobody else's before all of it is free.
"""

from __future__ import annotations

import contextlib

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.life.instance import Instance
from inferno.life.stop import Request, stop
from inferno.sandbox import cgroup
from inferno.settings import Settings
from inferno.state import names
from inferno.state.database import State
from inferno.state.paths import Paths
from inferno.state.slot import Slot
from inferno.version import trusted_copies, versions
from inferno.version.prune import remove


def destroy(settings: Settings, state: State, name: str, *, keep_logs: bool = False) -> None:
    """Kill VM `name` if it runs, and remove it. The caller holds its lock.

    Raises UsageError when there is no trace of such a VM.
    """
    check(settings, state, name)
    paths = Paths(settings.root)
    vm = _find(settings, state, name)
    found = dict.fromkeys([*versions.owned(paths, name), *vm.versions()])
    stop(vm, Request(timeout_s=0, kill=True))
    for each in found:
        remove(paths, name, each)
    files.remove_tree(paths.vm(name))
    if not keep_logs:
        for log in paths.logs.glob(f"{name}.log*"):  # rotated ones too; a name holds no dot
            files.remove_tree(log)
    state.remove(name)
    trusted_copies.collect(paths)


def need_stopped(settings: Settings, state: State, name: str) -> None:
    """Raise UsageError while VM `name` runs. The caller holds its lock."""
    row, paths = state.vm(name), Paths(settings.root)
    # Without a row there are only its versions to ask.
    found = Instance.of(settings, row).versions() if row else versions.owned(paths, name)
    if any(cgroup.populated(each.ulid) for each in found):
        raise UsageError(f"{name} runs", f"infernoctl stop {name}, first; or --force, which kills it")


def forget_unfinished(settings: Settings, state: State) -> None:
    """Take away what first creates left that were killed: slots that nobody has, builds that nobody would list.

    One that goes on holds its VM's lock, and is left alone; so is what runs, whatever the database has lost.
    """
    paths = Paths(settings.root)
    for name in state.reservations():
        with contextlib.suppress(files.BusyError), files.lock(paths.vm_lock(name), "sweep", wait=False):
            row, found = state.vm(name), versions.owned(paths, name)
            if row is None or row.version is not None or any(cgroup.populated(each.ulid) for each in found):
                continue
            for each in found:
                remove(paths, name, each)
            files.remove_tree(paths.vm(name))
            state.remove(name)


def check(settings: Settings, state: State, name: str) -> None:
    """Raise UsageError, with a guess, when there is no trace of such a VM."""
    paths = Paths(settings.root)
    if state.vm(name) or paths.vm(name).is_dir() or versions.owned(paths, name):
        return
    raise names.unknown(name, state.names())


def _find(settings: Settings, state: State, name: str) -> Instance:
    row = state.vm(name)
    if row is not None:
        return Instance.of(settings, row)
    # Without a row the slot is what the newest version says, unless another VM has it now: then its TAP is not ours.
    found = versions.owned(Paths(settings.root), name)
    records = [record for record in map(versions.usable, found) if record]
    known = [record.slot for record in records[-1:] if state.vm_at(record.slot) is None]
    slot = known[0] if known else state.reserve(name).slot
    return Instance(settings, name, Slot(slot), found[-1].ulid if found else None)
