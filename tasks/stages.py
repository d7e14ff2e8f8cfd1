"""Which module makes the tasks of a verb: one per stage of a VM's life, loaded when one of its tasks is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

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
