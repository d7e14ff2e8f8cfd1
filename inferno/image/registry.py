"""Images of registries, by skopeo, which checks every digest as it comes.

An image is asked for by the digest that its registry has for it, in `Image.seen`: that of an index's entry, or of the
reference. It may be sha512's, where the image's own name here is sha256's.

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
    store, found, is_chosen = _Store(ref, skopeo), manifest.parse(text), False
    if not isinstance(found, Manifest):
        search, is_chosen = Search(ask, store), True
        found = search.follow(search.best(found) or search.none())
    else:
        manifest.check(ref.text, found)
        if ref.digest is not None:
            store.names[found.digest] = ref.digest
    there = store.name(found)
    return Image(found.digest, found.text, _fetched_config(ask, store, found, is_chosen=is_chosen), "registry", there)


class _Store:
    """What of an image skopeo brings without its layers. `names` has the registry's digests of manifests, by ours."""

    def __init__(self, ref: Reference, skopeo: Skopeo) -> None:
        self.ref, self.skopeo = ref, skopeo
        self.names: dict[str, str] = {}

    def name(self, found: Manifest) -> str:
        return self.names.get(found.digest, found.digest)

    def manifest(self, wanted: Descriptor) -> bytes:
        text = _checked(self.skopeo.manifest(wanted.digest), wanted.digest, self.ref)
        self.names[manifest.digest_of(text)] = wanted.digest
        return text

    def config(self, found: Manifest) -> bytes:
        return layout.check_blob(self.unchecked_config(found), found.config, self.ref)

    def unchecked_config(self, found: Manifest) -> bytes:
        if digests.are_sha256(self.name(found), found.config.digest):
            return self.skopeo.config(self.name(found))
        oci_config.check_size(found.config.size)
        with self.skopeo.proxy() as proxy:
            return b"".join(proxy.pieces(found.config))


def seen(ask: Ask) -> str | None:
    """Only the registry knows, and it is asked only when the user wants it so."""
    return None


def layers(ask: Ask, image: Image, held: contextlib.ExitStack) -> list[Blob]:
    found = manifest.parse(image.manifest)
    assert isinstance(found, Manifest)
    skopeo = Skopeo(ask.ref, ask.access, ask.settings, ask.progress)
    _fetch(ask, skopeo, found, image.seen, _missing(ask.settings, found))
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


def _fetched_config(ask: Ask, store: _Store, image: Manifest, *, is_chosen: bool) -> bytes:
    """Bring the layers that are not here; return the configuration, which comes along with them.

    Of an image that no index says the platform of (not `is_chosen`), it says that: before large layers come, after
    small ones, which take less time than to ask for it alone.
    """
    settings = ask.settings
    known = _known_config(settings, image)
    missing = _missing(settings, image)
    if known is None and not is_chosen and sum(layer.size for layer in missing.values()) > _LARGE_BYTES:
        known = store.unchecked_config(image)
    if known is not None and not is_chosen:
        platforms.check(ask.ref.text, oci_config.parse(known), ask.access.platform)
    try:
        brought = _fetch(ask, store.skopeo, image, store.name(image), missing)
    except UsageError:
        if known is None and missing:
            # skopeo fetches the configuration last. When that is bad, nothing of the image is of any use; after any
            # other failure the next fetch goes on with the layers that are whole.
            with _or_without(missing, settings):
                store.unchecked_config(image)
        raise
    with _or_without(missing, settings):
        text = known or brought or store.unchecked_config(image)
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


def _fetch(ask: Ask, skopeo: Skopeo, image: Manifest, there: str, missing: dict[str, Descriptor]) -> bytes | None:
    """Bring the layers that are missing of the image, whose digest is `there` in the registry. A killed fetch leaves
    whole blobs, and nothing else that counts.

    Returns the image's configuration, when skopeo had to bring that too and did not write it anew.
    """
    settings, images = ask.settings, Paths(ask.settings.root).images
    files.remove_stale(images, _PREFIX)
    if not missing:
        return None
    for digest in missing:  # one that is there, but of the wrong size, would be taken for whole
        blob(settings, digest).unlink(missing_ok=True)
    total = sum(layer.size for layer in missing.values())
    if total > settings.image_max_mib << 20:
        raise UsageError(
            f"the layers of {ask.ref.text} take {total >> 20} MiB; {settings.image_max_mib} are allowed",
            "INFERNO_IMAGE_MAX_MB",
        )
    with files.temporary_folder(images, _PREFIX) as folder:
        if not digests.are_sha256(there, image.config.digest, *(layer.digest for layer in image.layers)):
            _fetch_singly(ask, skopeo, missing, folder)
            return None
        brought = _copy(ask, skopeo, image, there, missing, folder)
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


def _copy(
    ask: Ask, skopeo: Skopeo, image: Manifest, there: str, missing: dict[str, Descriptor], folder: Path
) -> bytes | None:
    settings, images = ask.settings, Paths(ask.settings.root).images
    wanted = {blob(settings, layer.digest): layer.size for layer in missing.values()}
    try:
        skopeo.copy(there, folder, images / "blobs", f"fetch {ask.ref.short}", wanted, ask.progress)
    except UsageError:
        for layer in missing.values():
            if not is_whole(settings, layer):
                blob(settings, layer.digest).unlink(missing_ok=True)
        raise
    return _take_notes(folder, image, settings)


def _fetch_singly(ask: Ask, skopeo: Skopeo, missing: dict[str, Descriptor], folder: Path) -> None:
    """One after the other, each by its own digest: `skopeo copy` knows nothing by another than sha256's.

    Those with URLs of their own are asked of the registry alone too.
    """
    done, total = 0, sum(layer.size for layer in missing.values())
    try:
        with skopeo.proxy() as proxy:
            for digest, layer in missing.items():
                unfinished = folder / "blob"
                with unfinished.open("wb") as out:
                    for piece in proxy.pieces(layer):
                        out.write(piece)
                        done += len(piece)
                        ask.progress(f"fetch {ask.ref.short}", done, total)
                path = blob(ask.settings, digest)
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.rename(path)
    except OSError as error:
        raise files.disk_full(folder.parent) if files.is_full(error) else error from None


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
