"""The things the project builds or fetches once, whatever the VM: kiln, init, firecracker and jailer, vmlinux."""

from __future__ import annotations

from collections.abc import Iterable

from inferno.console import errors

from .engine.command import Command
from .engine.task import InfernoTask


def kiln(command: Command, _subject: str) -> Iterable[InfernoTask]:
    return [_artifact(command, "kiln")]


def init(command: Command, _subject: str) -> Iterable[InfernoTask]:
    return [_artifact(command, "init")]


def vmm(command: Command, _subject: str) -> Iterable[InfernoTask]:
    _warn(command, "vmm")
    return [_artifact(command, "vmm")]


def kernel(command: Command, _subject: str) -> Iterable[InfernoTask]:
    return [_artifact(command, "kernel")]


def artifacts(command: Command, _subject: str) -> Iterable[InfernoTask]:
    _warn(command, "artifacts")
    return [InfernoTask("artifacts", None, command=command, task_dep=["kiln", "init", "vmm", "kernel"])]


def _warn(command: Command, task: str) -> None:
    """At the very end of a command that asks for the task: that this Firecracker gets no mends any more."""

    def warn() -> None:
        from inferno.artifact import firecracker

        if lapse := firecracker.lapse(command.asked.settings.share_dir):
            errors.say(f"warning: {lapse.text}")

    command.after(task, warn)


def _artifact(command: Command, name: str) -> InfernoTask:
    from inferno.artifact.made import ARTIFACTS

    artifact, settings = ARTIFACTS[name], command.asked.settings
    return InfernoTask(
        name,
        lambda: artifact.make(settings, command.progress),
        command=command,
        shared=f"artifact-{name}",
        targets=[str(path) for path in artifact.targets(settings)],
        uptodate=[lambda: artifact.is_current(settings)],
    )
