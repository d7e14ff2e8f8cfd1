"""The ends of a VM: `stop` ends its run, `restart` begins another, `destroy` leaves nothing of it."""

from __future__ import annotations

from collections.abc import Iterable

from inferno.base.errors import InfernoError, UsageError
from inferno.base.requirements import require
from inferno.console import ask
from inferno.life import destroy as destroying
from inferno.life import host
from inferno.life import start as starting
from inferno.life import stop as stopping
from inferno.life.instance import Instance
from inferno.state import names

from .engine.command import Command
from .engine.db import forget_vm
from .engine.task import InfernoTask
from .start import check, shared


def stop(command: Command, name: str) -> Iterable[InfernoTask]:
    vm, request = _known(command, name), _request(command, f"stop:{name}")

    def action() -> None:
        ran = stopping.stop(vm, request)
        command.output.say(f"{name} is stopped" if ran else f"{name} was not running")

    yield InfernoTask(f"stop:{name}", action, command=command, vm=name, always=True)


def restart(command: Command, name: str) -> Iterable[InfernoTask]:
    """A VM that does not run is started."""
    request = _request(command, f"restart:{name}")
    overcommit = bool(command.asked.given(f"restart:{name}").get("overcommit"))
    check(command, name)

    def action() -> None:
        vm = _known(command, name)
        starting.check_brought(vm)
        release = starting.take_room_of(vm, overcommit=overcommit)
        if release:
            command.transaction.undo(name).callback(release)
        stopping.stop(vm, request)
        begun = shared(command, name)  # after the stop: what is started is the current version
        begun.release = release
        starting.run(begun)
        command.output.say(f"{name} runs at {begun.vm.slot.guest}, version {begun.version.ulid}")

    yield InfernoTask(f"restart:{name}", action, command=command, vm=name, always=True)


def destroy(command: Command, name: str) -> Iterable[InfernoTask]:
    """Asks on a terminal; without one, and without --yes, nothing happens. Of a VM that runs --force is asked for."""
    names.check_name(name)
    asked, given = command.asked, command.asked.given(f"destroy:{name}")
    force = bool(given.get("force"))
    sure = force or bool(given.get("yes"))
    if asked.selected:
        destroying.check(asked.settings, asked.state, name)
        require(host.STOP)
        if not force and f"stop:{name}" not in asked.selected:
            destroying.need_stopped(asked.settings, asked.state, name)
        if not sure and not ask.can_ask():
            raise UsageError(f"destroy:{name} cannot ask: there is no terminal", "--yes says that you mean it")

    def action() -> None:
        if not force:  # what was selected before it may have started the VM
            destroying.need_stopped(asked.settings, asked.state, name)
        if not sure and not ask.confirmed(f"destroy {name}, its versions and its log?"):
            raise InfernoError(f"{name} stays as it is")
        destroying.destroy(asked.settings, asked.state, name, keep_logs=bool(given.get("keep_logs")))
        forget_vm(asked.paths.task_db, name)
        command.output.say(f"{name} is gone")

    # Again at the end: doit has just noted that this task was done.
    command.after(f"destroy:{name}", lambda: forget_vm(asked.paths.task_db, name))
    yield InfernoTask(f"destroy:{name}", action, command=command, vm=name, always=True)


def _known(command: Command, name: str) -> Instance:
    vm = Instance.of(command.asked.settings, command.asked.row(name))
    if command.asked.selected:
        require(host.STOP)
    return vm


def _request(command: Command, task: str) -> stopping.Request:
    asked = command.asked.given(task)
    given = {name: asked[name] for name in ("timeout", "signal", "kill") if name in asked}
    return stopping.Request.of(task, **given)
