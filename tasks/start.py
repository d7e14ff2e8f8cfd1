"""A start, step by step: `network`, `disk`, `jail`, `launch`, each of which asks the kernel what is there; and `start`.

The steps of one run share one inferno.life.start.Start, looked up when the first of them is asked, so that
`doit create:web1 start:web1` works; what they make is on the VM's undo stack until its process runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from inferno.base.errors import UsageError
from inferno.base.requirements import require
from inferno.console import after_start
from inferno.console.after_start import Wish
from inferno.life import host, network_owner
from inferno.life import start as starting
from inferno.life.instance import Instance
from inferno.life.start import STEPS, Start

from .engine.command import Command
from .engine.task import InfernoTask

_STEPS = {step.name: step for step in STEPS}
# What a step takes for granted. A jail links to the scratch disk; only a launch needs all.
_NEEDS = {"network": (), "disk": (), "jail": ("disk",), "launch": ("network", "disk", "jail")}


@functools.cache
def shared(command: Command, name: str) -> Start:
    """The one start of this VM in this run. Raises InfernoError when there is no version to start."""
    begun = starting.prepare(
        Instance.of(command.asked.settings, command.asked.row(name)), command.transaction.undo(name)
    )
    if {f"start:{name}", f"launch:{name}"} & {*command.asked.selected}:
        starting.take_room(begun, overcommit=bool(command.asked.given(f"start:{name}").get("overcommit")))
    return begun


def check(command: Command, name: str) -> None:
    """Before anything is changed: is there such a VM, or will there be, and can this host run it?"""
    if f"create:{name}" not in command.asked.selected:
        command.asked.row(name)
    if command.asked.selected:
        require(host.START)
        network_owner.check(command.asked.settings)


def _step(command: Command, name: str, which: str) -> Iterable[InfernoTask]:
    check(command, name)
    step = _STEPS[which]

    def action() -> None:
        step.act(shared(command, name))
        if which == "launch" and _wish(command, name).follows:
            from inferno.console.foreground import hold_signals

            hold_signals()

    yield InfernoTask(
        f"{which}:{name}",
        action,
        command=command,
        vm=name,
        task_dep=[f"{needed}:{name}" for needed in _NEEDS[which]],
        uptodate=[lambda: step.done(shared(command, name))],
    )


def _wish(command: Command, name: str) -> Wish:
    given = command.asked.given(f"start:{name}")
    follows = f"start:{name}" in command.asked.selected and not given.get("detach")
    keys = given.get("detach_keys")
    if keys is None:
        return Wish(follows, bool(given.get("interactive")))
    from inferno.reach import detach_keys

    return Wish(follows, bool(given.get("interactive")), detach_keys.parse(keys))


def network(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "network")


def disk(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "disk")


def jail(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "jail")


def launch(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "launch")


def start(command: Command, name: str) -> Iterable[InfernoTask]:
    check(command, name)
    wish = _wish(command, name)
    if wish.is_interactive:
        after_start.check_input(name, command.asked.plan(name).spec, wish)
    others = [task for task in command.asked.selected if task.startswith("start:") and task != f"start:{name}"]
    if others and wish.follows:
        raise UsageError(f"start:{name} would follow one VM, and {others[0]} is to start too", "give each --detach")
    command.after(f"start:{name}", lambda: after_start.go_on(shared(command, name), wish, command.output.say))
    yield InfernoTask(
        f"start:{name}",
        None,
        command=command,
        vm=name,
        task_dep=[f"{step}:{name}" for step in _STEPS],
    )
