"""An image's way to a base: `image:REF` resolves and fetches, `rootfs:REF` makes the file system that VMs share.

Where a platform was asked for, it is part of the name: `image:alpine#linux/arm64`.
"""

from __future__ import annotations

from collections.abc import Iterable

from inferno.image import base, local_images, reference
from inferno.image.wanted import Wanted
from inferno.state.paths import file_name

from .engine.command import Command
from .engine.task import InfernoTask


def image(command: Command, subject: str) -> Iterable[InfernoTask]:
    """Files and engines of this host are looked at every time; a registry only when asked, or for a new image."""
    wanted, settings = _wanted(command, subject), command.asked.settings
    command.after(f"image:{subject}", lambda: _tell(command, wanted))
    yield InfernoTask(
        f"image:{subject}",
        lambda: _ensure(command, wanted),
        command=command,
        shared=f"image-{file_name(subject)}",
        targets=[str(local_images.stamp_path(wanted.ref, settings, wanted.access.platform))],
        made=lambda: local_images.folder(wanted.ref, settings, wanted.access.platform),
        uptodate=[lambda: local_images.unchanged(wanted.ref, settings, wanted.access, wanted.pull)],
    )


def rootfs(command: Command, subject: str) -> Iterable[InfernoTask]:
    wanted, settings = _wanted(command, subject), command.asked.settings
    command.after(f"rootfs:{subject}", lambda: _tell(command, wanted))
    yield InfernoTask(
        f"rootfs:{subject}",
        lambda: _make_base(command, wanted),
        command=command,
        shared=f"rootfs-{file_name(subject)}",
        task_dep=[f"image:{subject}"],
        targets=[str(base.note_path(wanted.ref, settings, wanted.access.platform))],
        made=lambda: base.of(wanted.ref, settings, wanted.access.platform),
        cleaner=lambda: _remove_base(command, wanted),
        uptodate=[lambda: base.is_noted(wanted.ref, settings, wanted.access)],
    )


def _wanted(command: Command, subject: str) -> Wanted:
    wanted = command.asked.image(subject)
    reference.parse(wanted.ref)
    return wanted


def _ensure(command: Command, wanted: Wanted) -> None:
    local_images.ensure(wanted.ref, command.asked.settings, wanted.access, wanted.pull, command.progress)


def _make_base(command: Command, wanted: Wanted) -> None:
    made = base.ensure(wanted.ref, command.asked.settings, wanted.access, command.progress)
    if left_out := base.left_out(made):
        command.output.say(f"   {wanted.ref}: not in its base, since a guest cannot have it: {left_out}")


def _remove_base(command: Command, wanted: Wanted) -> None:
    from inferno.image import prune

    prune.remove_base(wanted.ref, command.asked.settings, wanted.access.platform)


def _tell(command: Command, wanted: Wanted) -> None:
    """The result, for a pipeline: which image that is."""
    stamp = local_images.stamp(wanted.ref, command.asked.settings, wanted.access.platform)
    if stamp is not None:
        print(stamp.digest)
