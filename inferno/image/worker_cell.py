"""What holds the worker together, so that one word ends all of it: a cgroup of its own, or its PID namespace.

A worker that was taken over can clear the signal that it would get with its parent's end, start others, and hold on to
its output. In a cgroup (v2) the kernel ends all that is in there at once, and counts its tasks. On a host that has only
v1, or where none can be made, the first process of the worker's PID namespace is killed, with which the kernel ends all
others in it; then nothing but RLIMIT_NPROC bounds their number.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from inferno.base import files, processes

# As the only hierarchy, or beside those of v1.
MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_PREFIX = "inferno-image-"
MAX_TASKS = 64  # the worker, its threads (four that decompress), mkfs.erofs and its threads
_EMPTY_WITHIN_MS = 5000


class Cell:
    """A worker and all that it starts. `leaf` is its cgroup, None without one."""

    def __init__(self, worker: processes.Popen[bytes], leaf: Path | None) -> None:
        self.leaf = leaf
        self._worker = worker

    def kill(self) -> None:
        """End everything in it, for certain."""
        if self.leaf is not None:
            with contextlib.suppress(OSError):  # it is gone
                files.write_setting(self.leaf / "cgroup.kill", "1")
        elif self._worker.poll() is None:
            self._kill_namespace()
        self._worker.kill()

    terminate = kill  # what an interruption of this command calls

    def _kill_namespace(self) -> None:
        """Kill the worker's child, which is the first process of a PID namespace, before the worker itself."""
        pid = self._worker.pid
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, signal.SIGSTOP)  # it starts no other meanwhile
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)


@contextlib.contextmanager
def cell(worker: processes.Popen[bytes], mounts: tuple[Path, ...] = MOUNTS) -> Iterator[Cell]:
    """Put a worker, which has started nothing yet, into a cell, that ends with the `with`."""
    leaf = _make(worker.pid, mounts)
    held = Cell(worker, leaf)
    try:
        yield held
    finally:
        held.kill()
        if leaf is not None:
            _remove(leaf)


def _make(pid: int, mounts: tuple[Path, ...]) -> Path | None:
    """A cgroup with the process in it; None where there can be none."""
    for mount in mounts:
        with contextlib.suppress(OSError):
            _remove_left(mount)
            leaf = mount / f"{_PREFIX}{os.getpid()}-{pid}"
            leaf.mkdir()
            try:
                # Without the controller there is no such file; RLIMIT_NPROC bounds them then.
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    files.write_setting(leaf / "pids.max", str(MAX_TASKS))
                os.close(os.open(leaf / "cgroup.kill", os.O_WRONLY | os.O_CLOEXEC))  # from Linux 5.14 on
                files.write_setting(leaf / "cgroup.procs", str(pid))
            except OSError:
                leaf.rmdir()
                raise
            return leaf
    return None


def _remove_left(mount: Path) -> None:
    """End and remove the cgroups of commands that were killed."""
    for left in mount.glob(f"{_PREFIX}*-*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            with contextlib.suppress(OSError):
                files.write_setting(left / "cgroup.kill", "1")
                _remove(left)


def _remove(leaf: Path) -> None:
    """Remove a cgroup whose processes were killed, once the last is gone."""
    with contextlib.suppress(OSError):
        events = os.open(leaf / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            while b"populated 1" in os.pread(events, 4096, 0) and poll.poll(_EMPTY_WITHIN_MS):
                pass
        finally:
            os.close(events)
        leaf.rmdir()
