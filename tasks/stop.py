"""The ends of a VM: `stop` ends its run, `restart` begins another, `destroy` leaves nothing of it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

from inferno.base.errors import InfernoError, UsageError
from inferno.base.requirements import require
from inferno.life import destroy as destroying
from inferno.life import host
from inferno.life import start as starting
from inferno.life import stop as stopping
from inferno.life.instance import Instance
from inferno.settings import DEFAULT_STOP_TIMEOUT_S
from inferno.spec.signals import signal_number
from inferno.state import names

from .engine.context import Context
from .engine.db import forget_vm
from .engine.task import InfernoTask
from .start import check, shared

_LONGEST_S = 24 * 3600


def stop(context: Context, name: str) -> Iterable[InfernoTask]:
    vm = _known(context, name)
    request = request_of(f"stop:{name}", context.asked(f"stop:{name}"))

    def action() -> None:
        ran = stopping.stop(vm, request)
        context.say(f"{name} is stopped" if ran else f"{name} was not running")

    yield InfernoTask(f"stop:{name}", action, context=context, vm=name, always=True)


def restart(context: Context, name: str) -> Iterable[InfernoTask]:
    """A VM that does not run is started."""
    request = request_of(f"restart:{name}", context.asked(f"restart:{name}"))
    check(context, name)

    def action() -> None:
        stopping.stop(_known(context, name), request)
        begun = shared(context, name)  # after the stop: what is started is the current version
        starting.run(begun)
        context.say(f"{name} runs at {begun.vm.slot.guest}, version {begun.version.ulid}")

    yield InfernoTask(f"restart:{name}", action, context=context, vm=name, always=True)


def destroy(context: Context, name: str) -> Iterable[InfernoTask]:
    """Asks on a terminal; without one, and without --yes, nothing happens."""
    names.check_name(name)
    asked = context.asked(f"destroy:{name}")
    if context.selected:
        destroying.check(context.settings, context.state, name)
        require(host.STOP)
        if not asked.get("yes") and not sys.stdin.isatty():
            raise UsageError(f"destroy:{name} cannot ask: there is no terminal", "--yes says that you mean it")

    def action() -> None:
        if not asked.get("yes"):
            _ask(name)
        destroying.destroy(context.settings, context.state, name, keep_logs=bool(asked.get("keep_logs")))
        forget_vm(context.paths.task_db, name)
        context.say(f"{name} is gone")

    # Again at the end: doit has just noted that this task was done.
    context.after(f"destroy:{name}", lambda: forget_vm(context.paths.task_db, name))
    yield InfernoTask(f"destroy:{name}", action, context=context, vm=name, always=True)


def _known(context: Context, name: str) -> Instance:
    vm = Instance.of(context.settings, context.row(name))
    if context.selected:
        require(host.STOP)
    return vm


def _ask(name: str) -> None:
    print(f"destroy {name}, its versions and its log? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InfernoError(f"{name} stays as it is")


def request_of(task: str, asked: dict[str, Any]) -> stopping.Request:
    """What `stop` and `restart` were asked for, by their options. Raises UsageError."""
    seconds = asked.get("timeout")
    timeout_s = DEFAULT_STOP_TIMEOUT_S if seconds is None else seconds
    if not (math.isfinite(timeout_s) and 0 <= timeout_s <= _LONGEST_S):
        raise UsageError(f"{task}: --timeout {timeout_s:g} is out of range", f"it takes 0 to {_LONGEST_S} seconds")
    word = asked.get("signal")
    number = None if word is None else signal_number(word, f"{task}: --signal")
    return stopping.Request(timeout_s, number, bool(asked.get("kill")))
