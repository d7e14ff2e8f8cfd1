"""`infernoctl wait` and `attach`: until a VM ends, in silence or with its output; the exit status is its process's.

Both only look: Ctrl-C ends them, not the VM.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.base.requirements import need_root
from inferno.cli.look import one_name, options
from inferno.console import vm_output
from inferno.console.errors import say
from inferno.life import exit_status, status
from inferno.life.instance import Instance
from inferno.life.running_guest import not_running
from inferno.logs import vm_logs
from inferno.logs.follow import End
from inferno.sandbox import cgroup
from inferno.settings import load_settings
from inferno.version import versions


def wait(words: list[str]) -> int:
    """Until it ends; at once when it has ended already."""
    _, rest = options("wait", words, [])
    found = _instance(one_name("wait", rest))
    with _end(found) as end:
        _until(end)
    return _told(found)


def _until(end: End) -> None:
    poll = select.poll()
    if end.descriptor >= 0:
        poll.register(end.descriptor, end.events)
    while not end.over():
        poll.poll()


def attach(words: list[str]) -> int:
    """What the process says from now on, each stream on its own; with -i, its terminal or its input."""
    given, rest = options("attach", words, ["interactive"], "i")
    found = _instance(one_name("attach", rest))
    if found.running() is None:
        raise not_running(found.name)
    if given:
        return join(found)
    if os.isatty(0):
        say(f"{found.name}: its output, until Ctrl-C; to type there: attach -i, or infernoctl shell {found.name}")
    with (
        _end(found) as end,
        vm_logs.follow(found.paths, found.name, vm_logs.end(found.paths, found.name), end) as records,
    ):
        for record in records:
            vm_output.write(record)
            vm_output.say_dropped(found.name, record)
    return _told(found)


def join(found: Instance) -> int:
    """With the process of a VM that runs, to its end: then its exit status; or until the caller leaves: 0."""
    from inferno.console import interact

    running = found.running()
    record = versions.read(running) if running else None
    tty = record is not None and record["spec"].get("tty", False)
    if tty:
        interact.check_ours("attach")
    with _end(found) as end:
        if interact.join(found, tty=tty):
            _until(end)
            return _told(found)
    return 0


def _instance(name: str) -> Instance:
    need_root()
    settings = load_settings()
    return Instance.of(settings, status.row(settings, name))


@contextlib.contextmanager
def _end(found: Instance) -> Iterator[End]:
    """The end of the run that goes on now."""
    running = found.running()
    with contextlib.ExitStack() as held:
        if running is not None:
            with contextlib.suppress(FileNotFoundError):  # it ended just now
                descriptor, ended = held.enter_context(cgroup.watched(running.ulid))
                yield End(descriptor, cgroup.CHANGED, ended)
                return
        yield End(-1, 0, lambda: True)


def _told(found: Instance) -> int:
    """How the run ended, once whoever stops it has put that away: who ends a VM holds its lock meanwhile."""
    with files.lock(found.paths.vm_lock(found.name), "a look at the end of its run"):
        if found.running() is not None:
            raise InfernoError(f"{found.name} was started again before its end was read", "infernoctl logs tail")
        last = exit_status.last(found.paths, found.name)
    if last is None:
        raise InfernoError(f"{found.name} has not run yet", f"infernoctl start {found.name}")
    return vm_output.say_end(found.name, last)
