"""`infernoctl wait` and `attach`: until a VM ends, in silence or with its output; the exit status is its process's.

Both only look: Ctrl-C ends them, not the VM.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from inferno import cgroup, config, exit_status, files, host, logs, version, vm
from inferno.cli import output
from inferno.cli.read import one_name, options
from inferno.cli.speak import say
from inferno.errors import InfernoError
from inferno.instance import Instance
from inferno.reach.guest import not_running


def wait(words: list[str]) -> int:
    """Until it ends; at once when it has ended already."""
    _, rest = options("wait", words, [])
    found = _instance(one_name("wait", rest))
    with _end(found) as end:
        _until(end)
    return _told(found)


def _until(end: logs.End) -> None:
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
    with _end(found) as end, logs.follow(found.paths, found.name, logs.end(found.paths, found.name), end) as records:
        for record in records:
            output.write(record)
            output.say_dropped(found.name, record)
    return _told(found)


def join(found: Instance) -> int:
    """With the process of a VM that runs, to its end: then its exit status; or until the caller leaves: 0."""
    from inferno.cli import interact

    running = found.running()
    record = version.read(running) if running else None
    tty = record is not None and record["spec"].get("tty", False)
    if tty:
        interact.check_ours("attach")
    with _end(found) as end:
        if interact.join(found, tty=tty):
            _until(end)
            return _told(found)
    return 0


def _instance(name: str) -> Instance:
    host.need_root()
    settings = config.load()
    return Instance.of(settings, vm.row(settings, name))


@contextlib.contextmanager
def _end(found: Instance) -> Iterator[logs.End]:
    """The end of the run that goes on now."""
    running = found.running()
    with contextlib.ExitStack() as held:
        if running is not None:
            with contextlib.suppress(FileNotFoundError):  # it ended just now
                descriptor, ended = held.enter_context(cgroup.watched(running.ulid))
                yield logs.End(descriptor, cgroup.CHANGED, ended)
                return
        yield logs.End(-1, 0, lambda: True)


def _told(found: Instance) -> int:
    """How the run ended, once whoever stops it has put that away: who ends a VM holds its lock meanwhile."""
    with files.lock(found.paths.vm_lock(found.name), "a look at the end of its run"):
        if found.running() is not None:
            raise InfernoError(f"{found.name} was started again before its end was read", "infernoctl logs tail")
        last = exit_status.last(found.paths, found.name)
    if last is None:
        raise InfernoError(f"{found.name} has not run yet", f"infernoctl start {found.name}")
    return output.say_end(found.name, last)
