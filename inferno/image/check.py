"""Reads cached images whole and compares them with the digests on record. What is damaged goes, and is made again."""

from __future__ import annotations

import contextlib
import os

from inferno.base import files
from inferno.image import base, digests, local_images, manifest, oci_config, registry
from inferno.image.catalog import Entry
from inferno.settings import Settings
from inferno.state.paths import Paths


def check(entry: Entry, settings: Settings) -> list[str]:
    """What is wrong with an image, a line each; nothing for one that is whole, or has no base yet.

    A damaged base or blob is removed: the next create makes or fetches it again. VMs made of the damaged base are
    refused by `start` until then.
    """
    with local_images.lock(settings, "check of images", alone=True):
        return [*_base(entry, settings), *_manifest(entry, settings), *_blobs(entry, settings)]


def _base(entry: Entry, settings: Settings) -> list[str]:
    made, noted = base.path(entry.digest, settings), base.record(entry.digest, settings)
    if not made.exists():
        return []
    if noted is None:
        problem = "its base is not on record"
    elif files.sha256(made) != noted.sha256:
        problem = "its base is damaged: the content differs from what was made"
    else:
        return []
    with contextlib.suppress(FileNotFoundError):
        os.utime(made, ns=(0, 0))  # versions have links to it, and now see that it is not what they were made of
        made.unlink()
    return [f"{problem}; removed, the next create makes it again"]


def _manifest(entry: Entry, settings: Settings) -> list[str]:
    known = local_images.image(entry.digest, settings)
    if known is None:
        return ["its manifest or configuration is missing; the next create fetches it again"]
    if entry.digest in (manifest.digest_of(known[0]), manifest.digest_of(known[1])):
        return []
    for name in ("manifest.json", "config.json"):
        (Paths(settings.root).image(entry.digest) / name).unlink(missing_ok=True)
    return ["its manifest is damaged; removed, the next create fetches it again"]


def _blobs(entry: Entry, settings: Settings) -> list[str]:
    known = local_images.image(entry.digest, settings)
    layers = oci_config.read_json(known[0]).get("layers") or [] if known else []
    problems = []
    for digest in {str(layer.get("digest")) for layer in layers}:
        path = registry.blob(settings, digest)
        if path.exists() and digests.of_file(path, digest) != digest:
            path.unlink()
            problems.append(f"layer {digest} is damaged; removed, the next create fetches it again")
    return problems
