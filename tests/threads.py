"""What a thread of this process waits for, as the kernel has it: for tests that are about a wait."""

from __future__ import annotations

import threading
from pathlib import Path

_POLL = 7  # x86_64: arch/x86/entry/syscalls/syscall_64.tbl


def poll_timeout_ms(thread: threading.Thread) -> int | None:
    """The timeout of the poll(2) that the thread is in, -1 for none at all; None when it does something else."""
    words = Path(f"/proc/self/task/{thread.native_id}/syscall").read_text().split()  # proc(5): number, arguments
    if words[0] != str(_POLL):
        return None
    timeout = int(words[3], 16) & 0xFFFFFFFF
    return timeout - (1 << 32) if timeout >> 31 else timeout
