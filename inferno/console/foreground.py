"""A VM in the foreground: this process prints its output, stops it on a signal, and ends with its exit status.

The first SIGINT or SIGTERM stops the VM as `stop` does, and its output is still printed; the second no longer waits for
the image's process; the third kills the VM's cgroup. The VM goes on when this process is killed or its terminal closed.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.console import vm_output
from inferno.console.errors import report, say
from inferno.life import exit_status, stop
from inferno.life.instance import Instance
from inferno.life.reconcile import reconcile
from inferno.life.start import Start
from inferno.logs import vm_logs
from inferno.logs.follow import End
from inferno.sandbox import cgroup, launch
from inferno.settings import DEFAULT_STOP_TIMEOUT_S
from inferno.state.database import State
from inferno.state.paths import VersionDir

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def hold_signals() -> None:
    """From the moment that the VM runs, a signal that would end this process waits for `attach`, which stops the VM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def attach(start: Start, *, shows: bool = True, stops: bool = False) -> int:
    """Follow the log of a VM that was just started to the VM's end; take the run away; return the exit status.

    Without `shows` the output is not printed, since it was printed already. With `stops` the VM is stopped at once.
    """
    vm, version = start.vm, start.version
    stopper = _Stopper(vm, version)
    with stopper.on_signals():
        if stops:
            stopper.ask()
        _follow(start, stopper, shows)
        stopper.wait()
        because = launch.seen_end(start.pid) if start.pid else None
        with _lock(vm, "the end of its run"):
            again = not _is_there(vm) or reconcile(vm, "foreground", because=because)
            last = None if again else exit_status.last(vm.paths, vm.name)
    if stopper.error:
        report(stopper.error)
    return _end(vm, last)


def _follow(start: Start, stopper: _Stopper, shows: bool) -> None:
    vm, version = start.vm, start.version
    with contextlib.ExitStack() as held:
        end = End(-1, 0, lambda: True)
        with contextlib.suppress(FileNotFoundError):  # it ended, and another command took the leaf away already
            descriptor, ended = held.enter_context(cgroup.watched(version.ulid))
            end = End(descriptor, cgroup.CHANGED, ended)
        for record in held.enter_context(vm_logs.follow(vm.paths, vm.name, start.log_position, end)):
            if shows:
                try:
                    vm_output.write(record)
                except BrokenPipeError:  # its reader is gone: as for any program, that is its end
                    stopper.ask()
            vm_output.say_dropped(vm.name, record)


def _is_there(vm: Instance) -> bool:
    """Not destroyed meanwhile: then its slot, and with it its TAP, may be another VM's by now."""
    state = State(vm.settings.db_path)
    try:
        row = state.vm(vm.name)
    finally:
        state.close()
    return row is not None and row.slot == vm.slot.number


def _end(vm: Instance, last: exit_status.ExitStatus | None) -> int:
    """Say how the run ended, where that needs words; return the status to end with."""
    if last is None:
        say(f"{vm.name} was ended, and then destroyed or started again, by another command")
        return 128 + signal.SIGKILL
    return vm_output.say_end(vm.name, last)


def _lock(vm: Instance, what: str) -> contextlib.AbstractContextManager[None]:
    return files.lock(vm.paths.vm_lock(vm.name), what)


class _Stopper:
    """Stops the VM when it is asked to, in a thread: the log goes on meanwhile."""

    def __init__(self, vm: Instance, version: VersionDir) -> None:
        self.vm, self.version = vm, version
        self.error: InfernoError | None = None
        self._asked = 0
        self._thread = threading.Thread(target=self._stop)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        def again(_number: int, _frame: FrameType | None) -> None:
            self.ask(harder=True)

        before: dict[int, Any] = {number: signal.signal(number, again) for number in _SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self, *, harder: bool = False) -> None:
        """Once: gracefully. `harder` when asked before: insist."""
        if not self._asked:
            self._asked = 1
            self._thread.start()
            return
        self._asked += harder
        if harder and self._asked == 2:
            stop.terminate(self.version.ulid)
        elif harder:
            cgroup.kill(self.version.ulid)

    def wait(self) -> None:
        if self._asked:
            self._thread.join()

    def _stop(self) -> None:
        try:
            with _lock(self.vm, "stop"):
                if cgroup.populated(self.version.ulid):
                    stop.stop(self.vm, stop.Request(DEFAULT_STOP_TIMEOUT_S))
        except InfernoError as error:
            self.error = error
