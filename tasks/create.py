"""From a base and the artifacts to a version that can be started: `initrd`, `config`, `create`.

The first two leave their results in vms/<name>/build; `create` takes them into a new version, if anything changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from inferno.console import errors
from inferno.console.answer import print_json
from inferno.image.stamp import key
from inferno.life import create as creating
from inferno.spec.create_options import Spec
from inferno.version import configs, inputs, versions
from inferno.version import initrd as initrds

from .engine.command import Command
from .engine.inputs import Unchanged
from .engine.task import InfernoTask


def initrd(command: Command, name: str) -> Iterable[InfernoTask]:
    plan, state = command.asked.plan(name), command.asked.state
    yield InfernoTask(
        f"initrd:{name}",
        lambda: initrds.make(plan, creating.reserve(plan, state, command.transaction.undo(name))),
        command=command,
        vm=name,
        task_dep=["init", f"image:{key(plan.spec.image, plan.spec.platform)}"],
        targets=[str(path) for path in initrds.targets(plan)],
        uptodate=[Unchanged(lambda: initrds.inputs(plan, creating.slot_number(plan, state)))],
    )


def config(command: Command, name: str) -> Iterable[InfernoTask]:
    plan, state = command.asked.plan(name), command.asked.state
    yield InfernoTask(
        f"config:{name}",
        lambda: configs.make(plan, creating.reserve(plan, state, command.transaction.undo(name))),
        command=command,
        vm=name,
        targets=[str(path) for path in configs.targets(plan)],
        uptodate=[Unchanged(lambda: configs.inputs(plan, creating.slot_number(plan, state)))],
    )


def _warn(name: str, spec: Spec) -> None:
    """Create opens no secret, and takes a file that is yet to come; a start refuses one that is not there."""
    from inferno.life import secrets

    if missing := secrets.missing(spec):
        errors.say(f"warning: {name} cannot start before these files are there: {', '.join(missing)}")


def create(command: Command, name: str) -> Iterable[InfernoTask]:
    asked, output = command.asked, command.output
    plan, state = asked.plan(name), asked.state
    creating.check(plan, state)
    image = key(plan.spec.image, plan.spec.platform)

    def action() -> None:
        made = creating.create(plan, state, command.transaction.undo(name))
        if made.is_new:
            from inferno.version import why

            output.say(f"   version {made.ulid}: {'; '.join(why.told(plan.paths, made.ulid))}")
            for note in plan.image().notes:
                output.say(f"   the image's {note}")

    def answer() -> None:
        if plan.spec.secret or plan.spec.at_start:
            _warn(name, plan.spec)
        print_json(creating.describe(plan.settings, asked.row(name)))

    command.after(f"create:{name}", answer)
    yield InfernoTask(
        f"create:{name}",
        action,
        command=command,
        vm=name,
        targets=[str(plan.paths.current_record(name))],
        made=lambda: versions.parts(plan.paths, name),
        task_dep=["kiln", "vmm", "kernel", f"rootfs:{image}", f"initrd:{name}", f"config:{name}"],
        uptodate=[Unchanged(lambda: inputs.seen(plan)), lambda: creating.is_current(plan, state)],
    )
