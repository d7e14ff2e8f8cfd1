"""Rules about room for VMs, by the numbers that a start goes by: none of Firecracker's."""

from __future__ import annotations

from inferno.base.errors import InfernoError
from inferno.base.requirements import Check
from inferno.disk import scratch
from inferno.life import admission
from inferno.settings import LVM
from inferno.watch.doctor.rule import NEEDED, Rule
from inferno.watch.doctor.world import World

# A VM has some ten, and each command of the host's a few.
_FEW_TASKS = 200


def rules(world: World) -> list[Rule]:
    settings = world.settings
    memory, tasks, free = admission.memory(settings), admission.tasks(world.root), scratch.free_mib(settings)
    found = [
        (
            f"memory for VMs: they may use {memory.used} of {memory.most} MiB",
            "when guests use what they were given, the kernel kills one of them",
            lambda: _check_memory(memory),
        ),
        (
            f"tasks: this host has {tasks.now} of at most {tasks.most}",
            "no command and no VM can begin without one",
            lambda: _check_tasks(tasks),
        ),
    ]
    checked = [Rule(NEEDED, False, Check(*each)) for each in found]
    if settings.storage == LVM:
        return checked
    what = f"room for scratch disks: {free} MiB are free, and {settings.disk_reserve_mib} are to stay so"
    why = "a guest that writes to a full disk fails, as do all others"
    return [*checked, Rule(NEEDED, True, Check(what, why, lambda: admission.check_disk(settings)))]


def _check_memory(memory: admission.Memory) -> None:
    if memory.used > memory.most:
        raise InfernoError(
            f"running VMs may use {memory.used} MiB, and {memory.most} MiB are for VMs",
            "infernoctl stop NAME, of one of them; or create NAME --memory N, and restart it",
        )


def _check_tasks(tasks: admission.Tasks) -> None:
    if tasks.now + _FEW_TASKS > tasks.most:
        raise InfernoError(f"{tasks.most - tasks.now} are left", "sysctl kernel.pid_max and kernel.threads-max")
