"""A jailer whose starter was killed or interrupted right after launching it, and that is not in the VM's cgroup yet.

The jailer moves itself there (`launch`), so until then the kernel says that nothing runs. Left alone it
would go on in a jail that is being removed, or beside another jailer in one that was laid out anew.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from inferno.base.errors import InfernoError
from inferno.sandbox import cgroup, jail
from inferno.state.paths import VersionDir

_END_S = 30.0


def end(version: VersionDir) -> None:
    """End such a jailer of a version that was launched. Raises InfernoError when it does not end.

    In a jail that was used there is none: after the cgroup, and before anything runs, `/` becomes the VM's own.
    """
    try:
        with jail.opened(version) as root:
            if os.fstat(root).st_uid != 0:
                return
    except OSError:
        return
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if _is_jailer(pid, version):
            _kill(pid, version)


def _is_jailer(pid: int, version: VersionDir) -> bool:
    """By the file it was started from, which all VMs share, and by its --id."""
    try:
        if not os.path.samestat(os.stat(f"/proc/{pid}/exe"), version.file("jailer").stat()):
            return False
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return version.ulid.encode() in file.read().split(b"\0")
    except OSError:  # it ended, or is a thread of the kernel's
        return False


def _kill(pid: int, version: VersionDir) -> None:
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if _is_jailer(pid, version):  # else the PID is another's by now, or it became kiln, in the leaf
                signal.pidfd_send_signal(process, signal.SIGKILL)
                poll = select.poll()
                poll.register(process, select.POLLIN)
                if not poll.poll(_END_S * 1000):
                    raise InfernoError(f"the jailer of version {version.ulid} does not end", "see dmesg")
        finally:
            os.close(process)
    cgroup.kill(version.ulid)
    if not cgroup.wait_empty(version.ulid, time.monotonic() + _END_S):
        raise InfernoError(f"version {version.ulid} does not end", "see dmesg")
