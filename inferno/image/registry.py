"""Images of registries, by skopeo, which checks every digest as it comes.

Blobs are kept in images/blobs, shared by all images, under their digests; only those that are missing are fetched.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import digests, layout, manifest, oci_config, platforms
from inferno.image.index import Search
from inferno.image.layers.decompress import Blob
from inferno.image.manifest import Descriptor, Manifest
from inferno.image.reference import Reference
from inferno.image.skopeo import SilentError, Skopeo
from inferno.image.source import Ask, Image, open_part
from inferno.settings import Settings
from inferno.state.paths import Paths

_PREFIX = ".fetch."
_LARGE_BYTES = 16 << 20


def resolve(ask: Ask, *, must: bool) -> Image:
    """Ask the registry, and fetch what is not here yet. Raises UsageError when it cannot be had."""
    ref = ask.ref
    ask.progress(f"ask the registry for {ref.short}")
    skopeo = Skopeo(ref, ask.access, ask.settings, ask.progress)
    text = _checked(skopeo.manifest(), ref.digest, ref)
    found, is_chosen = manifest.parse(text), False
    if not isinstance(found, Manifest):
        search, is_chosen = Search(ask, _Store(ref, skopeo)), True
        found = search.follow(search.best(found) or search.none())
    else:
        manifest.check(ref.text, found)
    return Image(
        found.digest, found.text, _fetched_config(ask, skopeo, found, is_chosen=is_chosen), "registry", found.digest
    )


class _Store:
    """What of an image skopeo brings without its layers."""

    def __init__(self, ref: Reference, skopeo: Skopeo) -> None:
        self.ref, self.skopeo = ref, skopeo

    def manifest(self, wanted: Descriptor) -> bytes:
        return _checked(self.skopeo.manifest(wanted.digest), wanted.digest, self.ref)

    def config(self, found: Manifest) -> bytes:
        return layout.check_blob(self.skopeo.config(found.digest), found.config, self.ref)


def seen(ask: Ask) -> str | None:
    """Only the registry knows, and it is asked only when the user wants it so."""
    return None


def layers(ask: Ask, image: Image, held: contextlib.ExitStack) -> list[Blob]:
    found = manifest.parse(image.manifest)
    assert isinstance(found, Manifest)
    _fetch(ask, Skopeo(ask.ref, ask.access, ask.settings, ask.progress), found, _missing(ask.settings, found))
    return [
        Blob(*open_part(held, blob(ask.settings, layer.digest)), layer.digest, diff_id)
        for layer, diff_id in layout.with_diff_ids(image)
    ]


def blob(settings: Settings, digest: str) -> Path:
    """Where a layer is kept, or would be."""
    return Paths(settings.root).images / "blobs" / digests.path(digest)


def is_whole(settings: Settings, layer: Descriptor) -> bool:
    """Whether a layer is here. Its digest was checked as it came, and is checked again when it is read."""
    try:
        return blob(settings, layer.digest).stat().st_size == layer.size
    except FileNotFoundError:
        return False


def _fetched_config(ask: Ask, skopeo: Skopeo, image: Manifest, *, is_chosen: bool) -> bytes:
    """Bring the layers that are not here; return the configuration, which comes along with them.

    Of an image that no index says the platform of (not `is_chosen`), it says that: before large layers come, after
    small ones, which take less time than to ask for it alone.
    """
    settings = ask.settings
    known = _known_config(settings, image)
    missing = _missing(settings, image)
    if known is None and not is_chosen and sum(layer.size for layer in missing.values()) > _LARGE_BYTES:
        known = skopeo.config(image.digest)
    if known is not None and not is_chosen:
        platforms.check(ask.ref.text, oci_config.parse(known), ask.access.platform)
    try:
        brought = _fetch(ask, skopeo, image, missing)
    except UsageError:
        if known is None and missing:
            # skopeo fetches the configuration last. When that is bad, nothing of the image is of any use; after any
            # other failure the next fetch goes on with the layers that are whole.
            with _or_without(missing, settings):
                skopeo.config(image.digest)
        raise
    with _or_without(missing, settings):
        text = known or brought or skopeo.config(image.digest)
        config = oci_config.parse(text)
        if not is_chosen:
            platforms.check(ask.ref.text, config, ask.access.platform)
        return layout.check_blob(text, image.config, ask.ref)


@contextlib.contextmanager
def _or_without(layers: dict[str, Descriptor], settings: Settings) -> Iterator[None]:
    """Remove the layers of an image that turns out to be unfit."""
    try:
        yield
    except UsageError as error:
        if not isinstance(error, SilentError):
            for digest in layers:
                blob(settings, digest).unlink(missing_ok=True)
        raise


def _missing(settings: Settings, image: Manifest) -> dict[str, Descriptor]:
    return {layer.digest: layer for layer in image.layers if not is_whole(settings, layer)}


def _fetch(ask: Ask, skopeo: Skopeo, image: Manifest, missing: dict[str, Descriptor]) -> bytes | None:
    """Bring the layers that are missing. A killed fetch leaves whole blobs, and nothing else that counts.

    Returns the image's configuration, when skopeo had to bring that too and did not write it anew.
    """
    settings, images = ask.settings, Paths(ask.settings.root).images
    files.remove_stale(images, _PREFIX)
    if not missing:
        return None
    for digest in missing:  # one that is there, but of the wrong size, would be taken for whole
        blob(settings, digest).unlink(missing_ok=True)
    wanted = {blob(settings, layer.digest): layer.size for layer in missing.values()}
    if sum(wanted.values()) > settings.image_max_mib << 20:
        raise UsageError(
            f"the layers of {ask.ref.text} take {sum(wanted.values()) >> 20} MiB; {settings.image_max_mib} are allowed",
            "INFERNO_IMAGE_MAX_MB",
        )
    with files.temporary_folder(images, _PREFIX) as folder:
        try:
            skopeo.copy(image.digest, folder, images / "blobs", f"fetch {ask.ref.short}", wanted, ask.progress)
        except UsageError:
            for layer in missing.values():
                if not is_whole(settings, layer):
                    blob(settings, layer.digest).unlink(missing_ok=True)
            raise
        brought = _take_notes(folder, image, settings)
    for layer in missing.values():
        if not is_whole(settings, layer):
            if blob(settings, layer.digest).exists():
                blob(settings, layer.digest).unlink(missing_ok=True)
                raise UsageError(f"the manifest of {ask.ref.text} lies about the size of layer {layer.digest}")
            # skopeo leaves those out that have URLs of their own. Nor are these asked: they are the image's word.
            raise UsageError(
                f"image {ask.ref.text} has a foreign layer, to be had only from its maker: {layer.digest}",
                "docker pull it, and take docker-daemon:NAME",
            )
    return brought


def _take_notes(folder: Path, image: Manifest, settings: Settings) -> bytes | None:
    """skopeo puts the manifest, in OCI's form, and the configuration among the layers: they are kept elsewhere.

    Returns the configuration. Of an image of Docker's own form, what skopeo made of it is another one.
    """
    brought = None
    with contextlib.suppress(OSError), open(files.open_regular(blob(settings, image.config.digest)), "rb") as file:
        brought = file.read(oci_config.MAX_CONFIG_BYTES + 1)
    layers = {layer.digest for layer in image.layers}
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
        named = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
        found = manifest.parse(blob(settings, named).read_bytes())
        for digest in {named, found.config.digest if isinstance(found, Manifest) else named} - layers:
            blob(settings, digest).unlink(missing_ok=True)
    return brought


def _known_config(settings: Settings, image: Manifest) -> bytes | None:
    with contextlib.suppress(OSError):
        text = (Paths(settings.root).image(image.digest) / "config.json").read_bytes()
        if digests.match(text, image.config.digest):
            return text
    return None


def _checked(text: bytes, digest: str | None, ref: Reference) -> bytes:
    if digest is not None and not digests.match(text, digest):
        raise UsageError(f"the registry sent another manifest for {ref.text}", "is there a proxy in between?")
    return text
