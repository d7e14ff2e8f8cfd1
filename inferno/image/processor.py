"""Which level of x86-64 a guest on this host has: 1 to 4, as GOAMD64 and the psABI define them.

A guest has what the host's kernel uses of its processor and KVM passes on. Where there is no /dev/kvm, as where images
are only built, the kernel's word alone counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import struct
from collections.abc import Iterable

# The names in /proc/cpuinfo (arch/x86/include/asm/cpufeatures.h); `pni` is SSE3, `abm` has LZCNT. Osxsave has no name
# there: the kernel drops avx without it.
_LEVELS = (
    frozenset({"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}),
    frozenset({"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}),
    frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)
# Where CPUID has them (Intel SDM, volume 2A, CPUID): leaf, register (0 is EAX), bit.
_BITS = {
    "pni": (1, 2, 0), "ssse3": (1, 2, 9), "fma": (1, 2, 12), "cx16": (1, 2, 13), "sse4_1": (1, 2, 19),
    "sse4_2": (1, 2, 20), "movbe": (1, 2, 22), "popcnt": (1, 2, 23), "xsave": (1, 2, 26), "avx": (1, 2, 28),
    "f16c": (1, 2, 29), "bmi1": (7, 1, 3), "avx2": (7, 1, 5), "bmi2": (7, 1, 8), "avx512f": (7, 1, 16),
    "avx512dq": (7, 1, 17), "avx512cd": (7, 1, 28), "avx512bw": (7, 1, 30), "avx512vl": (7, 1, 31),
    "lahf_lm": (0x80000001, 2, 0), "abm": (0x80000001, 2, 5),
}  # fmt: skip
_GET_SUPPORTED_CPUID = 0xC008AE05  # include/uapi/linux/kvm.h
_MAX_ENTRIES = 256  # KVM_MAX_CPUID_ENTRIES
_ENTRY = struct.Struct("=10I")  # struct kvm_cpuid_entry2: function, index, flags, eax to edx, padding
_FIRST_BYTES = 16384  # of /proc/cpuinfo, where the first processor is described


@functools.cache
def level() -> int:
    """The level of a guest here, 1 on other machines than x86-64."""
    if os.uname().machine != "x86_64":
        return 1
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            found = of_flags(flags(file.read(_FIRST_BYTES).decode(errors="replace")))
    except OSError:
        return 1
    passed_on = _of_kvm() if found > 1 else None
    return found if passed_on is None else min(found, of_flags(passed_on))


def flags(cpuinfo: str) -> list[str]:
    """The flags of the first processor in /proc/cpuinfo."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.split() for name, _, value in lines if name.strip() == "flags"), [])


def of_flags(found: Iterable[str]) -> int:
    """The level of a processor with these flags."""
    here, level = set(found), 1
    for needed in _LEVELS:
        if not needed <= here:
            break
        level += 1
    return level


def of_cpuid(entries: Iterable[tuple[int, ...]]) -> list[str]:
    """The flags in entries of CPUID: leaf, index, flags, EAX to EDX."""
    leaves = {(entry[0], entry[1]): entry[3:7] for entry in entries}
    return [
        name for name, (leaf, register, bit) in _BITS.items() if leaves.get((leaf, 0), (0,) * 4)[register] >> bit & 1
    ]


def _of_kvm() -> list[str] | None:
    """What KVM has for guests; None where it cannot be asked."""
    request = bytearray(struct.pack("=II", _MAX_ENTRIES, 0) + bytes(_MAX_ENTRIES * _ENTRY.size))
    with contextlib.suppress(OSError):
        descriptor = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _GET_SUPPORTED_CPUID, request)
        finally:
            os.close(descriptor)
        count = struct.unpack_from("=I", request)[0]
        return of_cpuid(_ENTRY.unpack_from(request, 8 + at * _ENTRY.size) for at in range(min(count, _MAX_ENTRIES)))
    return None
