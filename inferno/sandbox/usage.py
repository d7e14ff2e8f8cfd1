"""What a VM uses of this host: its cgroup leaf's counters. kiln, Firecracker and the guest in it count together."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from inferno.sandbox import cgroup


class Usage(NamedTuple):
    """Since the start, or now; None: unlimited, or the kernel does not say."""

    cpu_s: float
    cpu_throttled_s: float
    cpus_max: float | None
    memory_bytes: int
    memory_peak_bytes: int | None
    memory_max_bytes: int | None
    oom_kills: int
    tasks: int
    tasks_max: int | None
    read_bytes: int
    written_bytes: int


def of(ulid: str, root: Path | None = None) -> Usage:
    """All zero when the leaf is gone. `root` is where cgroup v2 is mounted."""

    def number(name: str) -> int | None:
        text = cgroup.read(ulid, name, root).strip()
        return int(text) if text.isdigit() else None

    cpu = _pairs(cgroup.read(ulid, "cpu.stat", root))
    quota, _, period = cgroup.read(ulid, "cpu.max", root).strip().partition(" ")
    io = [_words(line) for line in cgroup.read(ulid, "io.stat", root).splitlines()]
    return Usage(
        cpu_s=cpu.get("usage_usec", 0) / 1e6,
        cpu_throttled_s=cpu.get("throttled_usec", 0) / 1e6,
        cpus_max=int(quota) / int(period) if quota.isdigit() and period.isdigit() else None,
        memory_bytes=number("memory.current") or 0,
        memory_peak_bytes=number("memory.peak"),
        memory_max_bytes=number("memory.max"),
        oom_kills=_pairs(cgroup.read(ulid, "memory.events", root)).get("oom_kill", 0),
        tasks=number("pids.current") or 0,
        tasks_max=number("pids.max"),
        read_bytes=sum(device.get("rbytes", 0) for device in io),
        written_bytes=sum(device.get("wbytes", 0) for device in io),
    )


def _pairs(text: str) -> dict[str, int]:
    """Lines of `name number`: cpu.stat, memory.events."""
    return {name: int(value) for name, _, value in (line.partition(" ") for line in text.splitlines())}


def _words(line: str) -> dict[str, int]:
    """One device's line of io.stat: `8:0 rbytes=1 wbytes=2 …`."""
    found = (word.partition("=") for word in line.split()[1:])
    return {name: int(value) for name, _, value in found if value.isdigit()}
