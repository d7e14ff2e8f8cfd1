"""Stops a VM: asks, insists, kills; then keeps how it ended and takes all of the run away.

Four rungs, each waiting for the event that the leaf is empty: the stop signal to the image's process; after the
timeout SIGKILL to it, so that the guest still ends in order; SIGTERM to kiln, which ends Firecracker and brings the
last lines and the exit status home; cgroup.kill. `--kill` leaves the second out; the first too, unless it is given
a time or a signal.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from inferno.base.errors import InfernoError, UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.life.instance import Instance
from inferno.life.reconcile import clear, network_removals, reconcile, together
from inferno.life.run_history import Stopped, signal_name
from inferno.logs import collector_client
from inferno.reach import vsock
from inferno.sandbox import cgroup, jail
from inferno.settings import DEFAULT_STOP_TIMEOUT_S
from inferno.spec.signals import signal_number
from inferno.state.paths import VersionDir
from inferno.version import versions
from inferno.wire.shared import HTTP_NOT_RUNNING

# After SIGKILL to the process the guest drains for at most 5 s (rest and drain in guest/src/durations.rs); from its
# report on, kiln gives it 5 s more to sync, unmount and reboot (guest_end in kiln/src/durations.rs).
GUEST_END_S = 11.0
# kiln gives the collector 2 s to take the last lines (the same, last_lines).
KILN_END_S = 5.0
# Nothing outlives SIGKILL but a process in an uninterruptible wait of the kernel's.
KILL_END_S = 30.0
_ANSWER_S = 2.0
_NO_ANSWER = "its guest did not answer"
LONGEST_TIMEOUT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Request:
    """How to stop: seconds before SIGKILL, the signal instead of the image's own, and whether the VM is killed then.

    With `kill` and no seconds its process is not asked at all; without `kill` it is, and killed at once.
    """

    timeout_s: float
    signal: int | None = None
    kill: bool = False

    @classmethod
    def of(cls, where: str, *, timeout: float | None = None, signal: str | None = None, kill: bool = False) -> Request:
        """Of options as they were typed; `where` is what errors begin with. Raises UsageError for a bad one.

        `--kill` alone does not wait. With `--timeout` or `--signal` it waits first, as in the bash version of Inferno.
        """
        usual_s = 0 if kill and signal is None else DEFAULT_STOP_TIMEOUT_S
        timeout_s = usual_s if timeout is None else timeout
        if not (math.isfinite(timeout_s) and 0 <= timeout_s <= LONGEST_TIMEOUT_S):
            hint = f"it takes 0 to {LONGEST_TIMEOUT_S} seconds"
            raise UsageError(f"{where}: --timeout {timeout_s:g} is out of range", hint)
        number = None if signal is None else signal_number(signal, f"{where}: --signal")
        return cls(timeout_s, number, kill)


def stop(vm: Instance, request: Request) -> bool:
    """Stop the VM; return whether it ran. Either way nothing of any run is left. The caller holds the VM's lock.

    Raises InfernoError when it cannot be ended.
    """
    running = vm.running()
    if running is None:
        reconcile(vm, "stop")
        return False
    collector_client.revive(vm.settings)
    because, overdue = end(running, request)

    def keep_and_clear() -> None:
        collector_client.sync(vm.settings)
        clear(vm, running, ran=True, because=because, wanted=because is None)

    together(keep_and_clear, *network_removals(vm))
    reconcile(vm, "stop", network=False, stopped=Stopped(overdue))
    return True


class Rung(NamedTuple):
    """One step of a stop: what it does, which returns whether it was done; seconds to wait; what is told in vain."""

    act: Callable[[], bool]
    patience_s: float
    overdue: str


class End(NamedTuple):
    """`because`: why there may be no word from kiln, if it had to be killed. `overdue` is as in run_history.Stopped."""

    because: str | None
    overdue: str


def end(running: VersionDir, request: Request) -> End:
    """End it. Raises InfernoError when it cannot be ended."""
    vain: list[str] = []
    for rung in _rungs(running, request):
        acted = rung.act()
        if acted and cgroup.wait_empty(running.ulid, time.monotonic() + rung.patience_s):
            return End(None, _told(vain))
        if not cgroup.populated(running.ulid):
            return End(None, _told(vain))
        vain.append(rung.overdue if acted else _NO_ANSWER)
    cgroup.kill(running.ulid)
    if cgroup.wait_empty(running.ulid, time.monotonic() + KILL_END_S):
        return End(f"kiln {vain[-1]}, and was killed", _told(vain[:-1]))
    raise InfernoError(f"version {running.ulid} does not end, not even by cgroup.kill", "see dmesg: is a disk stuck?")


def _told(vain: list[str]) -> str:
    return " and ".join(dict.fromkeys(vain))


def _rungs(running: VersionDir, request: Request) -> list[Rung]:
    asked, found = request.signal or _stop_signal(running), []
    if request.timeout_s or not request.kill:
        overdue = f"its process did not end within {request.timeout_s:g} s of {signal_name(asked)}"
        found.append(Rung(lambda: _signal_process(running, asked), request.timeout_s, overdue))
    if not request.kill:
        overdue = f"its guest did not end within {GUEST_END_S:g} s of SIGKILL to its process"
        found.append(Rung(lambda: _signal_process(running, signal.SIGKILL), GUEST_END_S, overdue))
    overdue = f"did not end within {KILN_END_S:g} s of SIGTERM"
    return [*found, Rung(lambda: terminate(running.ulid), KILN_END_S, overdue)]


def _stop_signal(running: VersionDir) -> int:
    record = versions.usable(running)
    return record.stop_signal if record else signal.SIGTERM


def _signal_process(running: VersionDir, number: int) -> bool:
    """Ask init to signal the image's process; return whether it did."""
    try:
        with jail.opened(running) as root:
            vsock.request(root, "POST", "/v1/signal", {"signal": number}, timeout_s=_ANSWER_S)
    except vsock.RefusedError as no:
        return no.http_status == HTTP_NOT_RUNNING  # it ended by itself just now, and the guest is about to
    except (InfernoError, OSError):
        return False
    return True


def terminate(ulid: str) -> bool:
    """SIGTERM to kiln, which leads its session. A PID is the leaf's if it is still listed after it was pinned."""
    for pid in cgroup.processes(ulid):
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            try:
                if pid in cgroup.pids(ulid) and os.getsid(pid) == pid:
                    signal.pidfd_send_signal(process, signal.SIGTERM)
            finally:
                os.close(process)
    return True
