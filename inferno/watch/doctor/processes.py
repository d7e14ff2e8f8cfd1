"""Rules about kiln and Firecracker as they run: where, and in whose name, by what the kernel says of each process."""

from __future__ import annotations

import os

from inferno.base.errors import InfernoError
from inferno.sandbox import cgroup
from inferno.watch.doctor.rule import Rule
from inferno.watch.doctor.world import Running, World

_SHARED = "unset INFERNO_JAIL_UID and INFERNO_JAIL_GID; restart the VMs"


def rules(world: World) -> list[Rule]:
    rule = world.rule
    return [
        rule(6, True, "VMs in their jails", "an attacker who breaks out of Firecracker sees what it sees", jailed),
        rule(7, True, "VMs as their own users", "one that broke out has the rights of its process", own_users),
    ]


def jailed(world: World) -> None:
    for vm in world.observed():
        for pid in cgroup.processes(vm.ulid):
            check_root(world, vm, pid)


def check_root(world: World, vm: Running, pid: int) -> None:
    """Raises InfernoError unless the process has the VM's jail for its `/`."""
    jail, seen = os.stat(vm.version.jail, follow_symlinks=False), os.stat(world.file(f"proc/{pid}/root"))
    if not os.path.samestat(jail, seen):
        raise InfernoError(f"{vm.name}: PID {pid} runs outside of the VM's jail", f"infernoctl restart {vm.name}")


def own_users(world: World) -> None:
    names: dict[int, str] = {}
    for vm in world.observed():
        if (other := names.setdefault(vm.vm.uid, vm.name)) != vm.name:
            raise InfernoError(f"{other} and {vm.name} run as the same user, {vm.vm.uid}", _SHARED)
        for pid in cgroup.processes(vm.ulid):
            check_user(world, vm, pid)


def check_user(world: World, vm: Running, pid: int) -> None:
    """Raises InfernoError unless the process has the VM's uid and gid, and nothing beyond them. proc(5), status."""
    text = world.read(f"proc/{pid}/status") or ""
    found = {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}
    if not found:
        return  # it ended
    wanted = {"Uid": [str(vm.vm.uid)] * 4, "Gid": [str(vm.vm.gid)] * 4, "Groups": []}
    for field, value in wanted.items():
        if found[field] != value:
            is_, should = (" ".join(dict.fromkeys(each)) or "none" for each in (found[field], value))
            raise InfernoError(
                f"{vm.name}: PID {pid} has {field} {is_} instead of {should}", f"infernoctl restart {vm.name}"
            )
    if any(int(found[field][0], 16) for field in ("CapPrm", "CapEff", "CapInh", "CapAmb")):
        raise InfernoError(f"{vm.name}: PID {pid} has capabilities", f"infernoctl restart {vm.name}")
