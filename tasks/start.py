"""A start, step by step: `network`, `disk`, `jail`, `launch`, each of which asks the kernel what is there; and `start`.

The steps of one run share one inferno.life.start.Start, looked up when the first of them is asked, so that
`doit create:web1 start:web1` works; what they make is on the VM's undo stack until its process runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from inferno.base.errors import UsageError
from inferno.base.requirements import require
from inferno.life import host
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
    return starting.prepare(
        Instance.of(command.asked.settings, command.asked.row(name)), command.transaction.undo(name)
    )


def check(command: Command, name: str) -> None:
    """Before anything is changed: is there such a VM, or will there be, and can this host run it?"""
    if f"create:{name}" not in command.asked.selected:
        command.asked.row(name)
    if command.asked.selected:
        require(host.START)


def _step(command: Command, name: str, which: str) -> Iterable[InfernoTask]:
    check(command, name)
    step = _STEPS[which]

    def action() -> None:
        step.act(shared(command, name))
        if which == "launch" and _follows(command, name):
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


def _follows(command: Command, name: str) -> bool:
    """Whether this run stays with the VM until that ends."""
    return f"start:{name}" in command.asked.selected and not command.asked.given(f"start:{name}").get("detach")


def network(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "network")


def disk(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "disk")


def jail(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "jail")


def launch(command: Command, name: str) -> Iterable[InfernoTask]:
    return _step(command, name, "launch")


def _check_input(command: Command, name: str) -> None:
    """Before anything is changed: is there a terminal on both sides, or input that the process can be given?"""
    from inferno.console.interact import check_ours

    spec = command.asked.spec(name)
    if not _follows(command, name):
        raise UsageError(f"start:{name} --detach leaves nobody to give input", f"infernoctl attach -i {name}, later")
    if not (spec.tty or spec.interactive):
        raise UsageError(
            f"the process of {name} has no standard input", f"infernoctl create {name} -i; with a terminal: --tty"
        )
    if spec.tty:
        check_ours("start")


def start(command: Command, name: str) -> Iterable[InfernoTask]:
    check(command, name)
    follows = _follows(command, name)
    is_interactive = command.asked.given(f"start:{name}").get("interactive")
    if is_interactive:
        _check_input(command, name)
    others = [task for task in command.asked.selected if task.startswith("start:") and task != f"start:{name}"]
    if others and follows:
        raise UsageError(f"start:{name} would follow one VM, and {others[0]} is to start too", "give each --detach")

    def end() -> int | None:
        begun = shared(command, name)
        if not begun.launched:
            command.output.say(f"{name} runs already, at {begun.vm.slot.guest}")
            from inferno.console.interact import join

            return join(begun.vm) if is_interactive else 0
        tty = begun.record.spec.tty
        leaves = "; Ctrl-P Ctrl-Q leaves it running" if tty else ""
        ends = leaves if is_interactive else "; Ctrl-C stops it" if follows else ""
        command.output.say(f"{name} runs at {begun.vm.slot.guest}{ends}")
        if not follows:
            return 0
        from inferno.console.foreground import attach
        from inferno.console.interact import interact

        if is_interactive:
            return interact(begun, tty=tty)
        return attach(begun)

    command.after(f"start:{name}", end)
    yield InfernoTask(
        f"start:{name}",
        None,
        command=command,
        vm=name,
        task_dep=[f"{step}:{name}" for step in _STEPS],
    )
