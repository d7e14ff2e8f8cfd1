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

from .engine.context import Context
from .engine.task import InfernoTask

_STEPS = {step.name: step for step in STEPS}
# What a step takes for granted. A jail links to the scratch disk; only a launch needs all.
_NEEDS = {"network": (), "disk": (), "jail": ("disk",), "launch": ("network", "disk", "jail")}


@functools.cache
def shared(context: Context, name: str) -> Start:
    """The one start of this VM in this run. Raises InfernoError when there is no version to start."""
    return starting.prepare(Instance.of(context.settings, context.row(name)), context.undo(name))


def check(context: Context, name: str) -> None:
    """Before anything is changed: is there such a VM, or will there be, and can this host run it?"""
    if f"create:{name}" not in context.selected:
        context.row(name)
    if context.selected:
        require(host.START)


def _step(context: Context, name: str, which: str) -> Iterable[InfernoTask]:
    check(context, name)
    step = _STEPS[which]

    def action() -> None:
        step.act(shared(context, name))
        if which == "launch" and _follows(context, name):
            from inferno.console.foreground import hold_signals

            hold_signals()

    yield InfernoTask(
        f"{which}:{name}",
        action,
        context=context,
        vm=name,
        task_dep=[f"{needed}:{name}" for needed in _NEEDS[which]],
        uptodate=[lambda: step.done(shared(context, name))],
    )


def _follows(context: Context, name: str) -> bool:
    """Whether this run stays with the VM until that ends."""
    return f"start:{name}" in context.selected and not context.asked(f"start:{name}").get("detach")


def network(context: Context, name: str) -> Iterable[InfernoTask]:
    return _step(context, name, "network")


def disk(context: Context, name: str) -> Iterable[InfernoTask]:
    return _step(context, name, "disk")


def jail(context: Context, name: str) -> Iterable[InfernoTask]:
    return _step(context, name, "jail")


def launch(context: Context, name: str) -> Iterable[InfernoTask]:
    return _step(context, name, "launch")


def _check_input(context: Context, name: str) -> None:
    """Before anything is changed: is there a terminal on both sides, or input that the process can be given?"""
    from inferno.console.interact import check_ours

    spec = context.spec(name)
    if not _follows(context, name):
        raise UsageError(f"start:{name} --detach leaves nobody to give input", f"infernoctl attach -i {name}, later")
    if not (spec.tty or spec.interactive):
        raise UsageError(
            f"the process of {name} has no standard input", f"infernoctl create {name} -i; with a terminal: --tty"
        )
    if spec.tty:
        check_ours("start")


def start(context: Context, name: str) -> Iterable[InfernoTask]:
    check(context, name)
    follows = _follows(context, name)
    is_interactive = context.asked(f"start:{name}").get("interactive")
    if is_interactive:
        _check_input(context, name)
    others = [task for task in context.selected if task.startswith("start:") and task != f"start:{name}"]
    if others and follows:
        raise UsageError(f"start:{name} would follow one VM, and {others[0]} is to start too", "give each --detach")

    def end() -> int | None:
        begun = shared(context, name)
        if not begun.launched:
            context.say(f"{name} runs already, at {begun.vm.slot.guest}")
            from inferno.console.interact import join

            return join(begun.vm) if is_interactive else 0
        tty = bool(begun.record["spec"].get("tty"))
        leaves = "; Ctrl-P Ctrl-Q leaves it running" if tty else ""
        ends = leaves if is_interactive else "; Ctrl-C stops it" if follows else ""
        context.say(f"{name} runs at {begun.vm.slot.guest}{ends}")
        if not follows:
            return 0
        from inferno.console.foreground import attach
        from inferno.console.interact import interact

        if is_interactive:
            return interact(begun, tty=tty)
        return attach(begun)

    context.after(f"start:{name}", end)
    yield InfernoTask(
        f"start:{name}",
        None,
        context=context,
        vm=name,
        task_dep=[f"{step}:{name}" for step in _STEPS],
    )
