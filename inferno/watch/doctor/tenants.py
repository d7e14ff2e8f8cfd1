"""Rules about VMs one by one: do they answer, and is nothing left of those that ended."""

from __future__ import annotations

from inferno.base.errors import InfernoError
from inferno.base.requirements import Check
from inferno.life import network_owner, running_guest
from inferno.net import check
from inferno.reach import guest
from inferno.sandbox import cgroup
from inferno.watch.doctor.rule import Rule
from inferno.watch.doctor.world import World

_ANSWER_S = 2.0


def rules(world: World) -> list[Rule]:
    alive = Check("VMs that answer", "one whose Firecracker hangs is ended by nobody else", lambda: answering(world))
    clean = Check("nothing left of VMs that ended", "files, cgroups and devices pile up", lambda: tidy(world))
    return [Rule(5, False, alive), Rule(19, False, clean)]


def answering(world: World) -> None:
    for vm in world.observed():
        try:
            with running_guest.opened(vm.vm) as found:
                guest.ping(found, _ANSWER_S)
        except InfernoError as error:
            if vm.vm.running() is not None:
                raise InfernoError(f"{vm.name}: {error.text}", f"infernoctl stop {vm.name} --kill") from None


def tidy(world: World) -> None:
    running = {vm.name for vm in world.running()}
    ended = [vm.name for vm in world.vms if vm.started() is not None and vm.name not in running]
    if ended:
        raise InfernoError(f"left of the last run: {', '.join(ended)}", f"infernoctl stop {' '.join(ended)}")
    if network_owner.other(world.settings):  # what else there is, is its own
        return
    known = {version.ulid for vm in world.vms for version in vm.versions()}
    leaves = sorted(leaf for leaf in cgroup.leaves() - known if not cgroup.populated(leaf))
    if leaves:
        folders = " ".join(f"/sys/fs/cgroup/{cgroup.parent(leaf)}" for leaf in leaves)
        raise InfernoError(f"cgroups of no VM: {', '.join(leaves)}", f"rmdir {folders}")
    devices = sorted(slot.tap for slot in check.taps() if slot not in {vm.slot for vm in world.vms})
    if devices:
        raise InfernoError(f"TAPs of no VM: {', '.join(devices)}", f"ip link delete {devices[0]}")
