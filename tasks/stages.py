"""Which module makes the tasks of a verb: one per stage of a VM's life, loaded when one of its tasks is asked for.

dodo.py shows the stages in their order.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from doit.task import Task

from inferno.base.named_tuple import NamedTuple
from inferno.console.verbs.tasks import TASKS

if TYPE_CHECKING:
    from .engine.command import Command
    from .engine.task import InfernoTask

_STAGES = {
    "artifacts": ("kiln", "init", "vmm", "kernel", "artifacts"),
    "image": ("image", "rootfs"),
    "create": ("initrd", "config", "create"),
    "start": ("network", "disk", "jail", "launch", "start"),
    "stop": ("stop", "restart", "destroy"),
}
_MODULES = {verb: module for module, verbs in _STAGES.items() for verb in verbs}


def is_build(verb: str) -> bool:
    """Whether its tasks make files that starts are made of, and change nothing that runs."""
    return _MODULES.get(verb) in ("artifacts", "image", "create")


def make(command: Command, verb: str, subject: str) -> Iterable[InfernoTask]:
    """The tasks of `verb:subject` (usually one). They name what they depend on; the loader fetches that."""
    module = importlib.import_module(f".{_MODULES[verb]}", __package__)
    declare: Callable[[Command, str], Iterable[InfernoTask]] = getattr(module, verb)
    return declare(command, subject)


class Creator(NamedTuple):
    """What doit finds in a dodo file for one verb. Our loader makes `verb:subject` when that is named."""

    verb: str

    def create_doit_tasks(self) -> Task:
        return group(self.verb)


def creators(stage: str) -> list[Creator]:
    """A creator for each verb of a stage, which is a module beside this one."""
    return [Creator(verb) for verb in _STAGES[stage]]


def group(verb: str) -> Task:
    """A bare verb: what `doit list`, `doit help VERB` and completion show."""
    row = TASKS[verb]
    doc = f"{row.doc} ({verb}:{row.hole})" if row.hole else row.doc
    return Task(verb, None, doc=doc, params=[option.for_doit() for option in row.options], has_subtask=True)
