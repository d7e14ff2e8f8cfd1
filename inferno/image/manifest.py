"""Image manifests and indexes: OCI's (image-spec, manifest.md, image-index.md), and Docker's schema 2 before them."""

from __future__ import annotations

import json
from typing import Any

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.image import digests

MAX_MANIFEST_BYTES = 4 << 20
# Docker's own limit is 127; OCI has none, but no honest image comes near this.
MAX_LAYERS = 512
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Descriptor(NamedTuple):
    """What a manifest says of a blob: its digest, as `digests.check` passed it, and bytes."""

    digest: str
    size: int
    media_type: str = ""


class Manifest(NamedTuple):
    """One image for one platform; `layers` from the lowest up. `text` is what its digest is of.

    That is sha256's, whichever algorithm others name the manifest by: so one image has one name here.
    """

    text: bytes
    config: Descriptor
    layers: list[Descriptor]

    @property
    def digest(self) -> str:
        return digest_of(self.text)


def digest_of(data: bytes) -> str:
    return digests.of(data)


def parse(text: bytes) -> Manifest | list[dict[str, Any]]:
    """A manifest, or the entries of an index. Raises UsageError for anything else."""
    value = _json(text)
    media_type = value.get("mediaType")
    if ("manifests" in value and "layers" not in value) or (media_type in INDEXES and "config" not in value):
        entries = value.get("manifests")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UsageError("the image's index is malformed")
        return entries
    if value.get("schemaVersion") != 2 or "config" not in value:
        raise UsageError("the image's manifest is neither OCI's nor Docker's schema 2", "push the image again")
    layers = value.get("layers") or []
    if not isinstance(layers, list):
        raise UsageError("the image's manifest is malformed: layers is not a list")
    if len(layers) > MAX_LAYERS:
        raise UsageError(f"the image has {len(layers)} layers; {MAX_LAYERS} are allowed")
    return Manifest(text, descriptor(value["config"]), [descriptor(layer) for layer in layers])


def descriptor(value: Any) -> Descriptor:
    """Read a descriptor of a manifest's. Raises UsageError for a malformed one."""
    fields = value if isinstance(value, dict) else {}
    digest, size, media_type = fields.get("digest"), fields.get("size"), fields.get("mediaType") or ""
    if isinstance(digest, str) and isinstance(media_type, str) and isinstance(size, int) and 0 <= size < 1 << 50:
        return Descriptor(digests.check(digest, "a digest in the image's manifest"), size, media_type)
    raise UsageError("the image's manifest is malformed: a descriptor without a digest and a size")


def _json(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_MANIFEST_BYTES:
        raise UsageError(f"the image's manifest has {len(text)} bytes; {MAX_MANIFEST_BYTES} are allowed")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("the image's manifest is not JSON") from None
    if not isinstance(value, dict):
        raise UsageError("the image's manifest is not a JSON object")
    return value
