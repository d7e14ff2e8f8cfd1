"""Removes images that no VM uses, and blobs that no image has.

Creates hold the lock `images` shared while they run, this holds it alone: an image is never taken from under a create.
What versions were made of stays theirs all the same, since they hold links of their own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.image import base, catalog, digests, local_images, oci_config, stamp
from inferno.settings import Settings
from inferno.state.paths import Paths


@dataclass(slots=True)
class Pruned:
    """What was, or would be, removed: digests of images, and how many bytes of disk in all."""

    images: list[str] = field(default_factory=list)
    refs: list[str] = field(default_factory=list)
    blobs: int = 0
    bytes: int = 0


def prune(settings: Settings, *, dry_run: bool = False) -> Pruned:
    """Remove what nothing uses; with `dry_run` only say what that is."""
    paths = Paths(settings.root)
    found = Pruned()
    if not paths.images.is_dir():
        return found
    with local_images.lock(settings, "prune of images", alone=True):
        used = catalog.users(settings)
        unused = [entry for entry in catalog.entries(settings) if entry.digest not in used]
        for entry in unused:
            folder = paths.image(entry.digest)
            found.images.append(entry.digest)
            found.refs += entry.refs
            found.bytes += _bytes(folder)
            if not dry_run:
                _forget(entry, settings)
                files.remove_tree(folder)
        for blob in list(_unused_blobs(settings, {entry.digest for entry in unused})):
            found.blobs += 1
            found.bytes += blob.stat().st_blocks * 512
            if not dry_run:
                blob.unlink()
    return found


def remove_base(ref: str, settings: Settings, platform: str | None = None) -> None:
    """Remove the base of the image that `ref` means, and the note of it; the image stays.

    Raises InfernoError while a version is made of it: it is the version's too.
    """
    known = local_images.stamp(ref, settings, platform)
    note = base.note_path(ref, settings, platform)
    with local_images.lock(settings, f"removal of the base of {ref}", alone=True):
        made = base.path(known.digest, settings) if known else None
        if known and made and made.exists():
            names = sorted(catalog.users(settings).get(known.digest, ()))
            if made.stat().st_nlink > 1:
                by = ", ".join(names) or "a version that is not finished, or has no record that can be read"
                raise InfernoError(f"the base of {ref} stays: it is part of {by}", "infernoctl destroy NAME, first")
            made.unlink()
            made.with_name("base.json").unlink(missing_ok=True)
        note.unlink(missing_ok=True)


def _forget(entry: catalog.Entry, settings: Settings) -> None:
    """The references go first: killed in between, an image without one is found again and removed."""
    images = Paths(settings.root).images
    for path in (images / "refs").glob("*.json"):
        known = stamp.read(path)
        if known is None or known.digest == entry.digest:
            (images / "rootfs" / path.name).unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def _unused_blobs(settings: Settings, gone: set[str]) -> Iterator[Path]:
    """Blobs that no image has but those in `gone`."""
    wanted: set[str] = set()
    images = Paths(settings.root).images
    for entry in catalog.entries(settings):
        known = local_images.image(entry.digest, settings)
        if known is not None and entry.digest not in gone:
            layers = oci_config.read_json(known[0]).get("layers") or []
            wanted |= {digests.path(str(layer.get("digest"))) for layer in layers}
    for algorithm in digests.ALGORITHMS:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(images / "blobs" / algorithm):
                if f"{algorithm}/{name}" not in wanted:
                    yield images / "blobs" / algorithm / name


def _bytes(folder: Path) -> int:
    """Disk that is free once the folder is gone: what versions have links to stays."""
    total = 0
    for path in folder.rglob("*"):
        info = path.lstat()
        total += info.st_blocks * 512 if info.st_nlink == 1 else 0
    return total
