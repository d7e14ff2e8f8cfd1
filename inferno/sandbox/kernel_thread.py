"""Threads of the kernel's, told from users' processes by what no process can pretend: its flags, in /proc/PID/stat.

A session of 0 would not do (proc_pid_stat(5)): in a container a user's process has that too if its session began
outside.
"""

from __future__ import annotations

_FLAGS = 6  # of what follows the name in /proc/PID/stat
_PF_KTHREAD = 0x00200000  # include/linux/sched.h


def name_of(pid: int) -> str:
    """What a thread of the kernel's is called; empty for a user's process, which may call itself anything."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            _, _, rest = file.read().partition("(")
    except OSError:  # it has ended
        return ""
    name, _, numbers = rest.rpartition(")")
    return name if int(numbers.split()[_FLAGS]) & _PF_KTHREAD else ""
