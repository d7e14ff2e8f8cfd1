"""An image's way to a base: `image:REF` resolves and fetches, `rootfs:REF` makes the file system that VMs share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inferno.image import base, reference, store
from tasks.engine.context import Context
from tasks.engine.task import InfernoTask

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "image": [
        {
            "name": "pull",
            "long": "pull",
            "type": bool,
            "default": False,
            "help": "ask the registry again, though the image is here",
        }
    ]
}


def image(context: Context, ref: str) -> Iterable[InfernoTask]:
    """Files and engines of this host are looked at every time; a registry only when asked, or for a new image."""
    reference.parse(ref)
    pull = bool(context.asked(f"image:{ref}").get("pull")) or ref in context.pulls

    def up_to_date() -> bool:
        return not pull and store.unchanged(ref, context.settings)

    def action() -> None:
        store.ensure(ref, context.settings, context.progress)

    yield InfernoTask(f"image:{ref}", action, context=context, shared=_lock("image", ref), uptodate=[up_to_date])


def rootfs(context: Context, ref: str) -> Iterable[InfernoTask]:
    reference.parse(ref)

    def up_to_date() -> bool:
        stamp = store.stamp(ref, context.settings)
        return stamp is not None and base.path(stamp.digest, context.settings).exists()

    def action() -> None:
        base.ensure(ref, context.settings, context.progress)

    yield InfernoTask(
        f"rootfs:{ref}",
        action,
        context=context,
        shared=_lock("rootfs", ref),
        task_dep=[f"image:{ref}"],
        uptodate=[up_to_date],
    )


def _lock(stage: str, ref: str) -> str:
    from inferno.paths import file_name

    return f"{stage}-{file_name(ref)}"
