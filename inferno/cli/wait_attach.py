"""`infernoctl wait` and `attach`: until a VM ends, in silence or with its output; the exit status is its process's.

Neither changes anything: Ctrl-C ends them, and not the VM.
"""

from __future__ import annotations

import os

from inferno.base.requirements import need_root
from inferno.console import run_end, vm_output
from inferno.console.errors import say
from inferno.console.typed import Typed
from inferno.life import status
from inferno.life.instance import Instance
from inferno.life.running_guest import not_running
from inferno.logs import vm_logs
from inferno.reach import detach_keys
from inferno.settings import load_settings


def wait(typed: Typed) -> int:
    """Until it ends; at once when it has ended already."""
    found = _instance(typed.name)
    with run_end.watched(found) as end:
        run_end.wait(end)
    return run_end.status(found)


def attach(typed: Typed) -> int:
    """What the process says from now on, each stream on its own; with -i, its terminal or its input."""
    asked = typed.text("detach_keys")
    keys = detach_keys.parse(asked) if asked is not None else None
    found = _instance(typed.name)
    if found.running() is None:
        raise not_running(found.name)
    if typed.flag("interactive"):
        from inferno.console import interact

        return interact.join(found, keys)
    if os.isatty(0):
        say(
            f"the output of {found.name}, until Ctrl-C; to type: infernoctl attach -i, or infernoctl shell {found.name}"
        )
    with (
        run_end.watched(found) as end,
        vm_logs.follow(found.paths, found.name, vm_logs.end(found.paths, found.name), end) as records,
    ):
        for record in records:
            vm_output.write(record)
            vm_output.say_dropped(found.name, record)
    return run_end.status(found)


def _instance(name: str) -> Instance:
    need_root()
    settings = load_settings()
    return Instance.of(settings, status.row(settings, name))
