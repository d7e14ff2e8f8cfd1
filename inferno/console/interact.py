"""This command's streams as those of a VM's process: `start -i` and `attach -i`, as `docker run -i` and `attach`.

At a terminal (create --tty) each key goes to the guest, Ctrl-C too; Ctrl-P Ctrl-Q, or what --detach-keys says, leaves,
and the VM goes on. Without
one (create -i) our input is the process's, to its end, and what it writes comes byte for byte, each stream on its own.
"""

from __future__ import annotations

import contextlib
import os
import select

from inferno.base.errors import InfernoError, UsageError
from inferno.console import run_end
from inferno.console.errors import say
from inferno.console.foreground import attach
from inferno.life import running_guest
from inferno.life.instance import Instance
from inferno.life.start import Start
from inferno.reach import session
from inferno.reach.detach_keys import LeftError
from inferno.reach.relay import GivenUpError
from inferno.sandbox import cgroup
from inferno.state.paths import VersionDir
from inferno.version import versions

# In which a VM whose process ended has ended, too: init gives what is left two seconds.
_ENDING_S = 5.0


def check_ours(verb: str) -> None:
    """Raises UsageError unless standard input and output are a terminal."""
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError(f"{verb} -i needs a terminal on standard input and output", f"without -i: infernoctl {verb}")


def interact(start: Start, *, tty: bool, keys: bytes | None) -> int:
    """With the process of a VM that was just started, to its end; return its exit status, or 0 when the caller left.

    Of one that was faster than we are, its log is all there is to see.
    """
    vm, version = start.vm, start.version
    try:
        joined = _join(vm, replay=True, tty=tty)
    except InfernoError:
        if not _ends(version):
            raise
        return attach(start)
    try:
        if not _stay(vm, joined, tty=tty, keys=keys):
            return 0
    except (BrokenPipeError, GivenUpError):
        if tty:
            raise
        return attach(start, shows=False, stops=True)  # as without -i
    except InfernoError:
        if not _ends(version):
            raise
    return attach(start, shows=False)


def join(vm: Instance, keys: bytes | None) -> int:
    """With the process of a VM that runs, to its end: then its exit status; or until the caller leaves: 0.

    Raises InfernoError when it has neither a terminal nor input that is still to be had.
    """
    running = vm.running()
    record = versions.usable(running) if running else None
    tty = record is not None and record.spec.tty
    if tty:
        check_ours("attach")
    with run_end.watched(vm) as end:
        if not _stay(vm, _join(vm, replay=False, tty=tty), tty=tty, keys=keys):
            return 0
        run_end.wait(end)
    return run_end.status(vm)


def _join(vm: Instance, *, replay: bool, tty: bool) -> session.Joined:
    with running_guest.opened(vm) as found:
        return session.attach(found, replay=replay, tty=tty)


def _stay(vm: Instance, joined: session.Joined, *, tty: bool, keys: bytes | None) -> bool:
    try:
        session.stay(joined, tty=tty, keys=keys)
    except LeftError:
        say(f"{vm.name} keeps running; to return to it: infernoctl attach -i {vm.name}")
        return False
    return True


def _ends(version: VersionDir) -> bool:
    """Whether the VM has ended, or does so now: its process was faster than we are, or somebody stopped it."""
    with contextlib.suppress(FileNotFoundError), cgroup.watched(version.ulid) as (descriptor, ended):
        poll = select.poll()
        poll.register(descriptor, cgroup.CHANGED)
        return ended() or (bool(poll.poll(_ENDING_S * 1000)) and ended())
    return True
