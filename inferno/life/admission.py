"""Whether this host has room for one more VM: asked once for each start, before anything is made for it.

Memory is counted by what VMs may use and not by what they use just now: a guest takes what it was given in the end,
and the kernel then kills where it finds the most. Counted are the VMs that run, those of other INFERNO_ROOTs too, by
the limits of their cgroups, and those that are being started.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from inferno.base.errors import UsageError
from inferno.disk import scratch
from inferno.life import host, network_owner
from inferno.sandbox import cgroup
from inferno.settings import ALLOW, Settings
from inferno.state.paths import Paths
from inferno.state.starts import Starts
from inferno.version import versions

# kiln's and Firecracker's own pages: under 10 MiB together (docs/working-on-inferno.md, Measuring). The rest of a
# cgroup's allowance is page cache, which the kernel takes back before anything is killed.
_OWN_MIB = 10


class Memory(NamedTuple):
    """In MiB: what VMs may use in all; and what each of them may that runs, by its version, or is being started."""

    most: int
    running: dict[str, int]
    starting: dict[str, int]

    @property
    def used(self) -> int:
        return sum(self.running.values()) + sum(self.starting.values())


class Tasks(NamedTuple):
    """Processes and threads that this host has, and may have."""

    now: int
    most: int


def need_mib(memory_mib: int) -> int:
    """What a VM with so much memory may take of this host's: page tables, kiln and Firecracker are in it."""
    return memory_mib + memory_mib // cgroup.PAGE_TABLE_SHARE + _OWN_MIB


def memory(settings: Settings, starting: dict[str, int] | None = None) -> Memory:
    """The account of this host's memory; `starting` are those of `Starts.others`."""
    running = {ulid: mib for ulid in cgroup.running() if (mib := _limit_mib(ulid))}
    others = {ulid: mib for ulid, mib in (starting or {}).items() if mib and ulid not in running}
    return Memory(max(0, host.memory_mib() - settings.memory_reserve_mib), running, others)


def tasks(root: Path = Path("/")) -> Tasks:
    """What /proc says: loadavg counts all threads, and two numbers limit them (proc(5))."""
    now = int((root / "proc/loadavg").read_text().split()[3].partition("/")[2])
    limits = (root / "proc/sys/kernel" / name for name in ("pid_max", "threads-max"))
    return Tasks(now, min(int(path.read_text()) for path in limits))


def admit(
    settings: Settings, name: str, ulid: str, size: cgroup.Limits, *, overcommit: bool = False, instead_of: str = ""
) -> Callable[[], None]:
    """Count the start of version `ulid` from now on; return what ends that, once it runs or will not run.

    `instead_of` is a version that is stopped before. Raises UsageError where there is no room, and says what would
    free most (with `overcommit`, or by the setting, not for want of memory); and where another INFERNO_ROOT has the
    network, which this one has from now on.
    """
    check_disk(settings)
    _check_tasks(name, size)
    starts = Starts()
    with contextlib.ExitStack() as failed:
        failed.callback(starts.close)
        with starts.alone():
            network_owner.check(settings, starts)
            if not (overcommit or settings.overcommit == ALLOW):
                account = memory(settings, starts.others())
                account.running.pop(instead_of, None)
                _check_memory(settings, name, need_mib(size.memory_mib), account)
            network_owner.claim(settings, starts)
            starts.note(ulid, need_mib(size.memory_mib), settings.root)
        failed.pop_all()
    return starts.close


def check_disk(settings: Settings) -> None:
    """Raise UsageError when the disk of scratch files has less room than is to be left.

    What guests have written counts, and not what they may: each may fill its own scratch, and several of them the disk.
    """
    free = scratch.free_mib(settings)
    if free is None or free >= settings.disk_reserve_mib:
        return
    paths = Paths(settings.root)
    sizes = {ulid: scratch.used_mib(paths.version(ulid)) for ulid in cgroup.running()}
    ulid = max(sizes, key=lambda each: sizes[each], default="")
    hint = "infernoctl images prune removes what no VM uses"
    if sizes.get(ulid) and (record := versions.usable(paths.version(ulid))):
        hint = f"infernoctl stop {record.name} frees most, {sizes[ulid]} MiB that it wrote"
    raise UsageError(
        f"{free} MiB are free on the disk of {settings.root}; below {settings.disk_reserve_mib} MiB no VM is started",
        f"{hint}; INFERNO_DISK_RESERVE is another limit",
    )


def _check_memory(settings: Settings, name: str, needed: int, found: Memory) -> None:
    left = found.most - found.used
    if needed <= left:
        return
    raise UsageError(
        f"{name} needs {needed} MiB of memory, and of the {found.most} MiB for VMs {max(0, left)} are left",
        f"{_frees_most(settings, found)}; or start {name} with --overcommit",
    )


def _frees_most(settings: Settings, found: Memory) -> str:
    if not found.running:
        return "infernoctl create NAME --memory N makes it smaller; INFERNO_MEMORY_RESERVE is what VMs may not use"
    ulid, mib = max(found.running.items(), key=lambda each: each[1])
    record = versions.usable(Paths(settings.root).version(ulid))
    who = f"infernoctl stop {record.name}" if record else "a stop of the largest VM, one of another INFERNO_ROOT,"
    return f"{who} frees most, {mib} MiB"


def _check_tasks(name: str, size: cgroup.Limits) -> None:
    found, needed = tasks(), size.vcpus + cgroup.OVERHEAD_TASKS
    if found.now + needed > found.most:
        raise UsageError(
            f"{name} may have {needed} processes and threads; this host has {found.now} of at most {found.most}",
            "sysctl kernel.pid_max and kernel.threads-max limit them",
        )


def _limit_mib(ulid: str) -> int:
    """What a running VM may use, as `need_mib` counts it; 0 when it ends just now."""
    text = cgroup.read(ulid, "memory.max").strip()
    return (int(text) >> 20) - cgroup.OVERHEAD_MIB + _OWN_MIB if text.isdigit() else 0
