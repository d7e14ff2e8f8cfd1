"""The timer of a guest, which is a thread of the kernel's: put into the VM's cgroup, so that what it does counts there.

KVM starts one for each Firecracker, kvm-pit/<its PID> (arch/x86/kvm/i8254.c), as a child of kthreadd in the root
cgroup; a guest decides how often it wakes up. Firecracker's docs/prod-host-setup.md has root move it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from inferno.sandbox import cgroup, kernel_thread

PREFIX = "kvm-pit/"
# kthreadd's children, in the order of their making (proc_pid_children(5)). No process of a user's is ever one.
_KERNEL_THREADS = "/proc/2/task/2/children"


def adopt(ulid: str) -> bool:
    """Move the timer thread of the VM's Firecracker into the VM's leaf; return whether there is one, and it went.

    A kernel that lets nobody move it is not a reason to fail a start: `doctor` says so (rule 10).
    """
    names = {f"{PREFIX}{pid}" for pid in cgroup.pids(ulid)}
    for pid in _kernel_threads():
        if kernel_thread.name_of(pid) in names:
            with contextlib.suppress(OSError):
                cgroup.add(ulid, pid)
                return True
            return False
    return False


def _kernel_threads() -> Iterator[int]:
    """The newest first: the one that is looked for was made just now."""
    try:
        with open(_KERNEL_THREADS) as file:
            found = file.read().split()
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN: a look at everything
        found = sorted(filter(str.isdigit, os.listdir("/proc")), key=int)
    return map(int, reversed(found))
