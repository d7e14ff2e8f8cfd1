"""Launches the jailer, which becomes kiln, which starts Firecracker; returns when the image's process runs.

What is launched has nothing of its starter but the pipe for early errors and the socket for the word that it is up:
a session of its own, no environment, signals as new. So it outlives the starter and its terminal. The jailer joins
the VM's cgroup leaf itself: with cgroup v2 and no --cgroup it moves into --parent-cgroup (firecracker.md of 1.12 to
1.16, "jailer.md", section cgroups).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from inferno.base import debug
from inferno.base.errors import InfernoError
from inferno.sandbox import cgroup, jail, readiness, secrets_socket, timer_thread
from inferno.state.paths import VersionDir
from inferno.wire.shared import NOTIFY_SOCKET

# kiln holds some twenty descriptors; Firecracker one per drive, queue and vsock connection, of which it takes at
# most 1023 (vmm/src/devices/virtio/vsock/csm/mod.rs, MAX_CONNECTIONS). The jailer's own default, made explicit.
MAX_OPEN_FILES = 2048
# A process leaves its cgroup a moment before its parent sees it end.
_END_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to launch: the jailer's path, and what it is told.

    `limits` are those of the cgroup leaf; no file may grow beyond `max_file_bytes`.
    """

    jailer: Path
    version: VersionDir
    exec_name: str
    uid: int
    gid: int
    limits: cgroup.Limits
    max_file_bytes: int

    def argv(self) -> list[str]:
        """The jailer's command line."""
        words: dict[str, object] = {
            "--id": self.version.ulid,
            "--exec-file": self.version.file(self.exec_name),
            "--uid": self.uid,
            "--gid": self.gid,
            "--chroot-base-dir": self.version.dir.parent.parent,
            "--cgroup-version": 2,
            "--parent-cgroup": cgroup.parent(self.version.ulid),
        }
        limits = [f"no-file={MAX_OPEN_FILES}", f"fsize={self.max_file_bytes}"]
        argv = [str(self.jailer), *(str(word) for pair in words.items() for word in pair)]
        return [*argv, *(word for limit in limits for word in ("--resource-limit", limit))]


class LaunchError(InfernoError):
    """The process did not run. `lines` is what jailer and kiln said, safe to show."""

    def __init__(self, text: str, lines: list[str]) -> None:
        super().__init__(text)
        self.lines = lines


def launch(plan: Plan, timeout_s: float, secrets: bytes | None = None) -> int:
    """Launch, and return the PID once init has executed the image's process, within milliseconds of it. `secrets` is
    what kiln fetches before that, where start.json says so.

    The jail must be fresh. Raises LaunchError when the process does not run within `timeout_s` seconds, at once when
    it is known why; then something may still run in the leaf, which the caller ends (`cgroup.kill`).
    """
    cgroup.create(plan.version.ulid, plan.limits)
    with contextlib.ExitStack() as held:
        root = held.enter_context(jail.opened(plan.version))
        # The VM's uid may send to it once the jail is its own.
        notify = held.enter_context(jail.bound(root, NOTIFY_SOCKET, socket.SOCK_DGRAM, 0o666))
        offer = held.enter_context(secrets_socket.offered(root, plan.uid, secrets))
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        held.callback(os.close, reader)
        try:
            os.set_blocking(writer, True)  # the two ends are apart: kiln's must not lose what it says
            pid = _spawn(plan.argv(), writer)
        finally:
            os.close(writer)
        process = os.pidfd_open(pid)
        held.callback(os.close, process)
        if offer:
            offer.launched = pid
        outcome = readiness.wait(notify, reader, process, timeout_s, offer)
    if not outcome.ready:
        raise LaunchError(outcome.reason(timeout_s), outcome.lines())
    timer_thread.adopt(plan.version.ulid)
    return pid


def seen_end(pid: int) -> str | None:
    """How kiln ended, in words; None for all but its parent, and while it runs. `pid` is what `launch` returned."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        process = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(process, select.POLLIN)
            if poll.poll(_END_S * 1000):
                return f"kiln {readiness.ending(readiness.reap(process))}"
        finally:
            os.close(process)
    return None


def _spawn(argv: list[str], output: int) -> int:
    """posix_spawn, not `run.spawn`: only it resets what a shell left ignored, without a fork of this process."""
    debug.command("start", argv)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in (null, output)]
    umask = os.umask(0o022)
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            {},  # the jailer panics at a variable that is not UTF-8, and kiln gets none anyway
            file_actions=[(os.POSIX_SPAWN_DUP2, high[to > 0], to) for to in (0, 1, 2)],
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals(),
        )
    except OSError as error:
        raise InfernoError(f"{argv[0]} cannot be started: {error.strerror}", "create the VM again") from None
    finally:
        os.umask(umask)
        for descriptor in (null, *high):
            os.close(descriptor)
