"""Rules about the machine and its kernel: console, swap, microcode, what processors leak, the speed of cgroups."""

from __future__ import annotations

from pathlib import Path

from inferno.base.errors import InfernoError
from inferno.watch.doctor.rule import Rule, UnknownError
from inferno.watch.doctor.world import World

_CPU = "sys/devices/system/cpu"
# From 6.1 on KVM's start of a VM waits for a grace period of the cgroup's (docs/prod-host-setup.md, "Linux 6.1").
_SLOW_SINCE = (6, 1)


def rules(world: World) -> list[Rule]:
    rule = world.rule
    return [
        rule(4, False, "a quiet console", "KVM's messages, which guests cause, would wait for a slow console", quiet),
        rule(14, True, "no swap to disk", "guests' memory would stay on the disk", no_swap),
        rule(15, False, "microcode updates", "they close leaks between guests", microcode),
        rule(16, True, "no simultaneous multithreading", "the threads of one core leak to each other", no_smt),
        rule(16, True, "no same-page merging", "its timing tells what other guests have in memory", no_ksm),
        rule(16, True, "mitigations of processor leaks", "a guest reads others' memory through them", mitigated),
        rule(16, False, "memory with error correction", "Rowhammer turns a guest's reads into others' bits", ecc),
        rule(17, False, "fast changes of cgroups", "each start waits up to 100 ms for them", fast_cgroups),
    ]


def quiet(world: World) -> None:
    words = (world.read("proc/cmdline") or "").split()
    level = (world.read("proc/sys/kernel/printk") or "").split()
    if level[:1] in (["0"], ["1"]) or {"quiet", "loglevel=1"} <= set(words):
        return
    raise InfernoError(
        f"the kernel prints messages up to level {level[0] if level else '?'} on the console",
        "sysctl -w kernel.printk=1; for good: quiet loglevel=1 on the kernel's command line",
    )


def no_swap(world: World) -> None:
    areas = [line.split()[0] for line in (world.read("proc/swaps") or "").splitlines()[1:]]
    plain = [area for area in areas if not _stays_secret(world, Path(area).name)]
    if plain:
        raise InfernoError(f"memory is swapped to {', '.join(plain)}", "swapoff -a; and out of /etc/fstab with it")


def _stays_secret(world: World, device: str) -> bool:
    """Compressed memory, or a device-mapper target that encrypts."""
    uuid = world.read(f"sys/block/{device}/dm/uuid") or ""
    return device.startswith("zram") or uuid.startswith("CRYPT-")


def microcode(world: World) -> None:
    cpu = world.read("proc/cpuinfo") or ""
    if "hypervisor" in _flags(cpu):
        raise UnknownError("this host is a VM itself: microcode is loaded by its own host")
    amd = "AuthenticAMD" in cpu
    folder = "amd-ucode" if amd else "intel-ucode"
    if not any(world.file(f"{top}/firmware/{folder}").is_dir() for top in ("lib", "usr/lib")):
        package = "amd64-microcode" if amd else "intel-microcode"
        raise InfernoError("no microcode is there for the kernel to load early", f"apt-get install {package}; reboot")


def _flags(cpuinfo: str) -> list[str]:
    line = next((line for line in cpuinfo.splitlines() if line.startswith(("flags", "Features"))), "")
    return line.partition(":")[2].split()


def no_smt(world: World) -> None:
    active = world.read(f"{_CPU}/smt/active")
    if active is None:
        raise UnknownError("the kernel does not say whether it is on")
    if active != "0":
        raise InfernoError(
            "each core runs two threads",
            f"echo off > /{_CPU}/smt/control; for good: nosmt on the kernel's command line",
        )


def no_ksm(world: World) -> None:
    if world.read("sys/kernel/mm/ksm/run") == "1":
        raise InfernoError("the kernel merges same pages (KSM)", "echo 2 > /sys/kernel/mm/ksm/run; disable ksmtuned")


def mitigated(world: World) -> None:
    folder = world.file(f"{_CPU}/vulnerabilities")
    if not folder.is_dir():
        raise UnknownError("the kernel does not say what its processors leak")
    states = {path.name: path.read_text().strip() for path in sorted(folder.iterdir())}
    leaks = [f"{name} ({state})" for name, state in states.items() if state.lower().startswith("vulnerable")]
    if leaks:
        raise InfernoError(
            f"not mitigated: {', '.join(leaks)}",
            "update kernel and microcode; no mitigations=off on the kernel's command line",
        )


def ecc(world: World) -> None:
    if not world.file("sys/devices/system/edac/mc/mc0").exists():
        raise UnknownError("no memory controller reports errors (EDAC)", "dmidecode --type memory | grep Correction")


def fast_cgroups(world: World) -> None:
    release = (world.read("proc/sys/kernel/osrelease") or "0.0").split(".")
    if tuple(int(word) for word in release[:2] if word.isdigit()) < _SLOW_SINCE:
        return
    options = [line.split() for line in (world.read("proc/mounts") or "").splitlines()]
    if any(words[2] == "cgroup2" and "favordynmods" in words[3].split(",") for words in options if len(words) > 3):
        return
    if world.read("sys/module/kvm/parameters/nx_huge_pages") in ("never", "N"):
        return
    raise InfernoError("each start of a VM waits for the kernel's RCU", "mount -o remount,favordynmods /sys/fs/cgroup")
