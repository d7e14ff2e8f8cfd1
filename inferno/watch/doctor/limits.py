"""Rules about what a VM may use: console, logs, files, memory, processors, disk and network."""

from __future__ import annotations

import os
from pathlib import Path

from inferno.base import processes
from inferno.base.errors import InfernoError, MissingToolError
from inferno.life.host import need_cgroup
from inferno.sandbox import cgroup, kernel_thread, timer_thread
from inferno.watch.doctor.rule import Rule
from inferno.watch.doctor.world import World

_MAX_CONSOLE_KIB = 1024
_BOUNDED = ("Max file size", "Max open files")
_SHAPERS, _POLICERS = {"tbf", "htb", "hfsc", "cake"}, {"ingress", "clsact"}
# The kernel's own choice was 500, and is 200 since then (arch/x86/kvm/x86.c, min_timer_period_us).
_MIN_TIMER_US = 500


def rules(world: World) -> list[Rule]:
    rule = world.rule
    return [
        rule(2, True, "a bounded serial console", "a guest writes to it without end", console),
        rule(3, False, "logs that fit on their disk", "guests say how much is logged", logs),
        rule(8, True, "resource limits of processes", "they hold where a cgroup has none: files, their size", rlimits),
        rule(9, True, "cgroup limits of each VM", "one VM takes what others need", cgroup_limits),
        rule(10, True, "guests' timer threads in their cgroups", "what they do is counted on no VM", timer),
        rule(11, False, "network rate limits", "one guest's flood is everybody's", network),
        rule(13, False, "disk rate limits", "one guest's I/O is everybody's", storage),
    ]


def console(world: World) -> None:
    for vm in world.observed():
        size = vm.kiln.console_ring_kib
        if not 0 < size <= _MAX_CONSOLE_KIB:
            raise InfernoError(f"{vm.name} keeps {size} KiB of its console", f"infernoctl create {vm.name}")


def logs(world: World) -> None:
    settings, folder = world.settings, world.paths.logs
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    written = sum(path.stat().st_size for path in folder.glob("*.log*")) if folder == world.paths.logs else 0
    room_mib = (disk.f_bavail * disk.f_frsize + written) >> 20
    most_mib = settings.log_max_size_mb * settings.log_max_files * (len(world.vms) + 1)
    if most_mib > room_mib:
        raise InfernoError(
            f"logs may grow to {most_mib} MiB where {room_mib} are free",
            "INFERNO_LOG_MAX_SIZE_MB and INFERNO_LOG_MAX_FILES in /etc/inferno/env; then infernoctl logs restart",
        )


def rlimits(world: World) -> None:
    for vm in world.observed():
        for pid in cgroup.processes(vm.ulid):
            lines = (world.read(f"proc/{pid}/limits") or "").splitlines()
            free = [name for name in _BOUNDED if any(line.startswith(name) and "unlimited" in line for line in lines)]
            if free:
                raise InfernoError(
                    f"{vm.name}: PID {pid} has no limit of {free[0][4:]}", f"infernoctl restart {vm.name}"
                )


def cgroup_limits(world: World) -> None:
    need_cgroup()
    for vm in world.observed():
        for name in ("memory.max", "cpu.max", "pids.max", "memory.swap.max"):
            if cgroup.read(vm.ulid, name).startswith("max"):
                raise InfernoError(f"{vm.name} has no {name}", f"infernoctl restart {vm.name}")


def timer(world: World) -> None:
    period = world.read("sys/module/kvm/parameters/min_timer_period_us") or "0"
    if period.isdigit() and int(period) > _MIN_TIMER_US:
        return  # the other way the guide names: then the threads have little to do
    leaves = {f"{timer_thread.PREFIX}{pid}": vm for vm in world.observed() for pid in cgroup.processes(vm.ulid)}
    for folder in world.file("proc").iterdir():
        vm = leaves.get(kernel_thread.name_of(int(folder.name))) if folder.name.isdigit() else None
        if vm is None:
            continue
        leaf = cgroup.parent(vm.ulid)
        if not (world.read(f"proc/{folder.name}/cgroup") or leaf).endswith(leaf):
            raise InfernoError(
                f"{vm.name}: the thread {timer_thread.PREFIX}… is outside the VM's cgroup",
                f"echo {folder.name} > /sys/fs/cgroup/{leaf}/cgroup.procs",
            )


def network(world: World) -> None:
    for vm in world.observed():
        interfaces = vm.devices("network-interfaces")
        if all("rx_rate_limiter" in each and "tx_rate_limiter" in each for each in interfaces):
            continue
        tap = vm.vm.slot.tap
        kinds = _queueing(tap)
        if not kinds & _SHAPERS:
            rate = f"tc qdisc replace dev {tap} root tbf rate 1gbit burst 1mb latency 50ms"
            raise InfernoError(f"{vm.name} may receive without limit", rate)
        if not kinds & _POLICERS:
            raise InfernoError(
                f"{vm.name} may send without limit",
                f"tc qdisc add dev {tap} clsact; tc filter add dev {tap} ingress matchall"
                " action police rate 1gbit burst 1mb conform-exceed drop",
            )


def _queueing(tap: str) -> set[str]:
    """The kinds of the device's queueing disciplines; none without tc, which is what sets them."""
    try:
        done = processes.run(["tc", "qdisc", "show", "dev", tap], timeout=10, check=False)
    except MissingToolError:
        return set()
    words = (line.split() for line in done.stdout.decode(errors="replace").splitlines())
    return {line[1] for line in words if len(line) > 1}


def storage(world: World) -> None:
    for vm in world.observed():
        drives = vm.devices("drives")
        if not all("rate_limiter" in each for each in drives) and not cgroup.read(vm.ulid, "io.max").strip():
            limit = f'echo "{_disk(world)} rbps=209715200 wbps=209715200"'
            raise InfernoError(
                f"{vm.name} may read and write without limit",
                f"{limit} > /sys/fs/cgroup/{cgroup.parent(vm.ulid)}/io.max",
            )


def _disk(world: World) -> str:
    """major:minor of the whole disk below INFERNO_ROOT: io.max takes no partitions."""
    device = os.stat(world.settings.root).st_dev
    node = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    whole = node.parent if (node / "partition").exists() else node
    return world.read(f"{str(whole).lstrip('/')}/dev") or f"{os.major(device)}:{os.minor(device)}"
