"""Gives up what a program that reads hostile bytes does not need: root, the network, the disk, most resources."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from inferno.image.layers import empty_root

# include/uapi/linux/sched.h, prctl.h
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWPID, _CLONE_NEWNET = 0x04000000, 0x08000000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
# Far above what 200,000 entries need (measured: see docs/images.md); threads' stacks count as well.
MEMORY_BYTES = 3 << 30
OPEN_FILES = 4096
# Of all workers on this host together, since they are one user. Each is in a cgroup with a limit of its own.
MAX_TASKS_OF_USER = 4096
# mkfs.erofs makes its file 2 TiB long, sparse, before it reads, and cuts it to size at the end.
MAX_FILE_BYTES = 3 << 40


def confine(uid: int, cpu_s: int, *, programs: bool = False) -> None:
    """Called as root before the first byte is read; there is no way back. `uid` is user and group.

    Goes on in a child, the first process of a PID namespace: with its end all that it started ends too. The caller's
    process waits for it and ends as it did. Of the disk it sees libraries
    and Python's modules, and nothing can be written but what is open; when memory runs out
    on the host, the kernel ends this first. With `programs` the host's are there too.
    After `cpu_s` seconds of processor time it ends the process.
    Raises OSError when the kernel refuses any of it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    _call(libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS | _CLONE_NEWPID), "unshare")
    empty_root.enter(libc, programs=programs)
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(status if status >= 0 else 128 - status)
    empty_root.mount_proc(libc)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, MAX_TASKS_OF_USER),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # After the change of identity, which clears it: prctl(2).
    _call(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    _call(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    os.umask(0o077)


def _call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
