"""An image's way to a base: `image:REF` resolves and fetches, `rootfs:REF` makes the file system that VMs share."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterable
from typing import Any

from inferno.base.errors import UsageError
from inferno.image import base, local_images, reference
from inferno.image.source import Access
from inferno.state.paths import file_name

from .engine.context import Context, WantedImage
from .engine.task import InfernoTask


def image(context: Context, ref: str) -> Iterable[InfernoTask]:
    """Files and engines of this host are looked at every time; a registry only when asked, or for a new image."""
    reference.parse(ref)
    asked = context.asked(f"image:{ref}") or context.asked(f"rootfs:{ref}")
    if asked:
        context.images[ref] = wanted(asked, asked.get("platform"))

    def up_to_date() -> bool:
        how = context.images.get(ref, WantedImage())
        return local_images.unchanged(ref, context.settings, how.access, how.pull)

    def action() -> None:
        how = context.images.get(ref, WantedImage())
        local_images.ensure(ref, context.settings, how.access, how.pull, context.progress)

    context.after(f"image:{ref}", lambda: _tell(context, ref))
    yield InfernoTask(f"image:{ref}", action, context=context, shared=_lock("image", ref), uptodate=[up_to_date])


def rootfs(context: Context, ref: str) -> Iterable[InfernoTask]:
    reference.parse(ref)

    def up_to_date() -> bool:
        how = context.images.get(ref, WantedImage())
        stamp = local_images.stamp(ref, context.settings, how.access.platform)
        return stamp is not None and base.is_intact(stamp.digest, context.settings)

    def action() -> None:
        how = context.images.get(ref, WantedImage())
        base.ensure(ref, context.settings, how.access, context.progress)

    context.after(f"rootfs:{ref}", lambda: _tell(context, ref))
    yield InfernoTask(
        f"rootfs:{ref}",
        action,
        context=context,
        shared=_lock("rootfs", ref),
        task_dep=[f"image:{ref}"],
        uptodate=[up_to_date],
    )


def _tell(context: Context, ref: str) -> None:
    """The result, for a pipeline: which image that is."""
    stamp = local_images.stamp(ref, context.settings, context.images.get(ref, WantedImage()).access.platform)
    if stamp is not None:
        print(stamp.digest)


def wanted(asked: dict[str, Any], platform: str | None) -> WantedImage:
    """How an image is to be had, by the options given. Raises UsageError for a bad one, before anything is done."""
    pull = asked.get("pull") or local_images.MISSING
    if pull not in local_images.POLICIES:
        raise UsageError(f"--pull {pull!r} is none of {', '.join(local_images.POLICIES)}")
    if platform is not None and not 2 <= len([part for part in platform.split("/") if part]) <= 3:
        raise UsageError(f"--platform {platform!r} is not OS/ARCH[/VARIANT]", "for example linux/amd64")
    authfile = asked.get("authfile")
    if authfile is not None and not os.access(authfile, os.R_OK):
        raise UsageError(f"--authfile {authfile}: cannot be read")
    return WantedImage(Access(platform, authfile and os.path.abspath(authfile), _credentials(asked.get("creds"))), pull)


def _credentials(given: str | None) -> str | None:
    """USER:PASSWORD. A password on the command line can be seen by others, so it may come from elsewhere."""
    if given is None or ":" in given:
        return given
    password = os.environ.get("INFERNO_REGISTRY_PASSWORD")
    if password is None and sys.stdin.isatty():
        password = getpass.getpass(f"password of {given}: ")
    if password is None:
        raise UsageError("--creds without a password", "set INFERNO_REGISTRY_PASSWORD, or type it at a terminal")
    return f"{given}:{password}"


def _lock(stage: str, ref: str) -> str:
    return f"{stage}-{file_name(ref)}"
