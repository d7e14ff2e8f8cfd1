"""Image manifests and indexes: OCI's (image-spec, manifest.md, image-index.md), and Docker's schema 2 before them."""

from __future__ import annotations

from typing import Any

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.image import digests, oci_config

MAX_MANIFEST_BYTES = 4 << 20
# Docker's own limit is 127; OCI has none, but no honest image comes near this.
MAX_LAYERS = 512
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# How the configuration of an image is called. Manifests are used for other things too, which say so by its type (Helm's
# charts, OCI's guidelines for artifacts) or, signatures and attestations, by that of their layers.
_IMAGES = tuple(
    f"application/vnd.{kind}."
    for kind in ("oci.image", "docker.container.image", "docker.distribution", "docker.image")
)
_STATEMENTS = ("application/vnd.in-toto", "application/vnd.dsse", "application/vnd.dev.")
_MAX_SHOWN_CHARS = 100


class Descriptor(NamedTuple):
    """What a manifest says of a blob: its digest, as `digests.check` passed it, and bytes."""

    digest: str
    size: int
    media_type: str = ""


class Manifest(NamedTuple):
    """One image for one platform; `layers` from the lowest up. `text` is what its digest is of.

    That is sha256's, whichever algorithm others name the manifest by: so one image has one name here. `other` is the
    media type of what it is when that is not an image.
    """

    text: bytes
    config: Descriptor
    layers: list[Descriptor]
    other: str = ""

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
    if value.get("schemaVersion", 2) != 2 or "config" not in value:
        raise UsageError("the image's manifest is neither OCI's nor Docker's schema 2", "push the image again")
    layers = value.get("layers") or []
    if not isinstance(layers, list):
        raise UsageError("the image's manifest is malformed: layers is not a list")
    if len(layers) > MAX_LAYERS:
        raise UsageError(f"the image has {len(layers)} layers; {MAX_LAYERS} are allowed")
    config, described = descriptor(value["config"]), [descriptor(layer) for layer in layers]
    return Manifest(text, config, described, _other(value, config, described))


def is_image_type(media_type: str) -> bool:
    """Whether a configuration, or an artifact, of this media type may be an image: one that nobody registered may."""
    return media_type.startswith(_IMAGES) or not media_type.startswith("application/vnd.")


def check(image: str, found: Manifest) -> None:
    """Raise UsageError for a manifest of which nothing can be made."""
    if found.other:
        raise UsageError(f"{image} is not an image, by its media type: {found.other}")
    sealed = next((layer.media_type for layer in found.layers if layer.media_type.endswith("+encrypted")), None)
    if sealed:
        hint = "skopeo copy --decryption-key KEY … oci:FOLDER, then oci:FOLDER"
        raise UsageError(f"image {image} has a layer that is encrypted", hint)


def _other(value: dict[str, Any], config: Descriptor, layers: list[Descriptor]) -> str:
    """The media type of what is not an image."""
    if not is_image_type(config.media_type):
        kind = value.get("artifactType")
        return (kind if isinstance(kind, str) and kind else config.media_type)[:_MAX_SHOWN_CHARS]
    if layers and all(layer.media_type.startswith(_STATEMENTS) for layer in layers):
        return layers[0].media_type[:_MAX_SHOWN_CHARS]
    return ""


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
        value = oci_config.read_json(text)
    except (ValueError, RecursionError):
        raise UsageError("the image's manifest is not JSON") from None
    if not isinstance(value, dict):
        raise UsageError("the image's manifest is not a JSON object")
    return value
