"""Our terminal as that of a VM's process: `start -i` and `attach -i`, as `docker run -it` and `docker attach` do.

Each key goes to the guest, Ctrl-C too; Ctrl-P Ctrl-Q leaves, and the VM goes on.
"""

from __future__ import annotations

import os

from inferno.cli.attach import attach
from inferno.cli.speak import say
from inferno.errors import InfernoError, UsageError
from inferno.instance import Instance
from inferno.paths import VersionDir
from inferno.reach import guest, session
from inferno.reach.leaving import LeftError


def check_ours(verb: str) -> None:
    """Raises UsageError unless we have a terminal to offer."""
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError(f"{verb} -i wants a terminal on standard input and output", f"without -i: infernoctl {verb}")


def interact(vm: Instance, version: VersionDir, since: int) -> int:
    """At the terminal of a VM that was just started, to its end; return its exit status, or 0 when the caller left.

    `since` is where its lines begin in the VM's log: all there is to see of one that was faster than we are.
    """
    try:
        if not at_terminal(vm, replay=True):
            return 0
    except InfernoError:
        if vm.running() == version:
            raise
        return attach(vm, version, since)
    return attach(vm, version, since, shows=False)


def at_terminal(vm: Instance, *, replay: bool) -> bool:
    """Until the process ends (True), or the caller leaves (False). Raises InfernoError when there is no terminal."""
    try:
        with guest.opened(vm) as found:
            session.attach(found, replay=replay)
    except LeftError:
        say(f"{vm.name} runs on; infernoctl attach -i {vm.name} comes back")
        return False
    return True
