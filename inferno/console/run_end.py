"""The end of a run that goes on now: waited for, and told as the exit status of the VM's process."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.console import vm_output
from inferno.life import exit_status
from inferno.life.instance import Instance
from inferno.logs.follow import End
from inferno.sandbox import cgroup


@contextlib.contextmanager
def watched(vm: Instance) -> Iterator[End]:
    """The end of the current run; of a VM that does not run, an end that has come already."""
    running = vm.running()
    with contextlib.ExitStack() as held:
        if running is not None:
            with contextlib.suppress(FileNotFoundError):  # it ended just now
                descriptor, ended = held.enter_context(cgroup.watched(running.ulid))
                yield End(descriptor, cgroup.CHANGED, ended)
                return
        yield End(-1, 0, lambda: True)


def wait(end: End) -> None:
    """Return once it has come."""
    poll = select.poll()
    if end.descriptor >= 0:
        poll.register(end.descriptor, end.events)
    while not end.over():
        poll.poll()


def status(vm: Instance) -> int:
    """How the run ended, once the command that ends it, and holds its lock meanwhile, has noted that.

    Says what went wrong, and returns the exit status. Raises InfernoError when the VM runs again, or never ran.
    """
    with files.lock(vm.paths.vm_lock(vm.name), "a look at the end of its run"):
        if vm.running() is not None:
            raise InfernoError(
                f"{vm.name} was started again before the end of its last run was read",
                f"infernoctl logs show {vm.name}",
            )
        last = exit_status.last(vm.paths, vm.name)
    if last is None:
        raise InfernoError(f"{vm.name} has not run yet", f"infernoctl start {vm.name}")
    return vm_output.say_end(vm.name, last)
