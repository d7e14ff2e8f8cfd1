"""Takes away what runs leave: of a VM that was stopped, that ended by itself, that a kill or a power cut interrupted.

The order makes a kill in the middle harmless: the exit status is kept before its jail goes, then the run's row in the
database is completed, and the note that there was a run goes last. The next command begins again where this one ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from inferno.base import files
from inferno.disk import scratch
from inferno.life import exit_status, network_owner, run_history
from inferno.life.instance import Instance
from inferno.net import nft, tap
from inferno.sandbox import cgroup, jail, orphan_jailer
from inferno.state.paths import VersionDir


def reconcile(
    vm: Instance,
    by: str,
    *,
    network: bool = True,
    because: str | None = None,
    stopped: run_history.Stopped | None = None,
) -> bool:
    """Take away what earlier runs left, unless the VM runs; return whether it runs.

    Without `network` its TAP and rules stay, for the start that follows. `because` is as in exit_status.record, `by`
    and `stopped` as in run_history.end. The caller holds the VM's lock.
    """
    versions = vm.versions()
    if any(cgroup.populated(version.ulid) for version in versions):
        return True
    started = vm.started()

    def files_of_runs() -> None:
        for version in versions:
            clear(vm, version, ran=version == started, because=because)

    together(files_of_runs, *(network_removals(vm) if network else ()))
    run_history.end(vm, by, stopped=stopped)
    vm.unmark()
    return False


def clear(vm: Instance, version: VersionDir, *, ran: bool, because: str | None = None, wanted: bool = False) -> None:
    """Take away leaf, jail and scratch of a version that does not run, and keep what it says of its end, if it ran.

    `wanted`: somebody ended it, so a bad end does not have to be explained.
    """
    if ran:
        orphan_jailer.end(version)
    scratch.empty(version)  # on a full disk the rest needs the room
    if ran and version.jail.is_dir():
        try:
            status = exit_status.record(vm.paths, vm.name, version, because)
            if not wanted:
                _note(vm, version, status)
        except OSError as error:
            if not files.is_full(error):  # it is full again: better to lose this than to keep all else
                raise
    cgroup.remove(version.ulid)
    jail.remove(version)
    scratch.remove(version)
    if version.dir.is_dir():
        for unfinished in version.dir.glob(".*.tmp"):
            files.remove_tree(unfinished)


def _note(vm: Instance, version: VersionDir, status: exit_status.ExitStatus) -> None:
    """What is known of a bad end goes with leaf and jail, so it is kept before."""
    if status.vm_error is not None or status.oom_killed:
        from inferno.life import debug_bundle  # 20 ms, and hundreds for what it asks

        debug_bundle.keep(vm, version, status)


def network_removals(vm: Instance) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two removals that may go at once: each waits some ten milliseconds for the kernel's readers (RCU).

    Where another INFERNO_ROOT has the network, nothing there is this VM's. Nor is what is in use: the VM does not run.
    """

    def rules() -> None:
        with network_owner.at_work(vm.settings) as ours:
            if ours and not tap.in_use(vm.slot):
                nft.remove(vm.slot)

    def device() -> None:
        with network_owner.at_work(vm.settings) as ours:
            if ours:
                tap.remove(vm.slot)

    return rules, device


def together(first: Callable[[], None], *others: Callable[[], None]) -> None:
    """Do all at once, each to its end; raise the first error there was."""
    errors: list[Exception] = []

    def guarded(action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # raised below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in others]
    for thread in threads:
        thread.start()
    guarded(first)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
