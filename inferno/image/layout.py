"""Images in an OCI layout, a folder: OCI image-spec, image-layout.md. Its blobs are read where they are."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import digests, manifest, oci_config, tags
from inferno.image.index import MAX_READS, Entry, Search
from inferno.image.manifest import Descriptor, Manifest
from inferno.image.reference import Reference
from inferno.image.source import Ask, Image, open_part

if TYPE_CHECKING:
    from inferno.image.layers.decompress import Blob

# Reads the blob of a descriptor, checked; or the file of a name, of at most so many bytes.
Blobs = Callable[[Descriptor], bytes]


def resolve(ask: Ask, *, must: bool) -> Image:
    """The image that the layout's index names. Raises UsageError when there is none, or it is not whole."""
    ref, folder = ask.ref, Path(ask.ref.name)
    index = read_index(_read(folder / "index.json", manifest.MAX_MANIFEST_BYTES, ref), ref)
    return from_index(index, ask, lambda wanted: read_blob(_blob(folder, wanted.digest), wanted, ref), "layout")


def seen(ask: Ask) -> str | None:
    """The digest of the manifest."""
    try:
        return resolve(ask, must=True).digest
    except UsageError:
        return None


def layers(ask: Ask, image: Image, held: contextlib.ExitStack) -> list[Blob]:
    from inferno.image.layers.decompress import Blob

    folder = Path(ask.ref.name)
    return [
        Blob(*open_part(held, _blob(folder, layer.digest)), layer.digest, diff_id)
        for layer, diff_id in with_diff_ids(image)
    ]


def with_diff_ids(image: Image) -> list[tuple[Descriptor, str | None]]:
    """The manifest's layers, each with the configuration's digest of its content. Raises UsageError for a misfit."""
    found = manifest.parse(image.manifest)
    assert isinstance(found, Manifest)
    diff_ids: list[str | None] = list(oci_config.parse(image.config).diff_ids)
    if diff_ids and len(diff_ids) != len(found.layers):
        raise UsageError(f"the image has {len(found.layers)} layers, but its configuration speaks of {len(diff_ids)}")
    return list(zip(found.layers, diff_ids or [None] * len(found.layers), strict=True))


def read_index(text: bytes, ref: Reference) -> list[Entry]:
    """The entries of index.json."""
    entries = manifest.parse(text)
    if isinstance(entries, Manifest) or not entries:
        raise UsageError(f"{ref.name} holds no image", "is it an OCI layout?")
    return entries


class _Store:
    """A layout's manifests and configurations are blobs."""

    def __init__(self, read: Blobs) -> None:
        self.manifest = read

    def config(self, found: Manifest) -> bytes:
        return self.manifest(found.config)


def from_index(entries: list[Entry], ask: Ask, read: Blobs, place: str) -> Image:
    """The one image of the index that is wanted, with its configuration. Raises UsageError for none, or several."""
    search = Search(ask, _Store(read))
    named = _of_other_name(entries, ask.ref, read) or tags.named(entries, ask.ref)
    fits = [fit for entry in named if (fit := search.of(entry))]
    best = [fit for fit in fits if fit.rank == max(each.rank for each in fits)]
    if not best:
        search.none()
    if len({fit.wanted.digest for fit in best}) > 1:
        raise tags.several(named, ask.ref)
    found = search.follow(best[0])
    image_config = read(found.config)
    oci_config.parse(image_config)
    return Image(found.digest, found.text, image_config, place, found.digest)


def _of_other_name(entries: list[Entry], ref: Reference, read: Blobs) -> list[Entry]:
    """The entries that the layout names by another algorithm than the reference does, as it has this project's sha256
    of what is sha512's there."""
    found: list[Entry] = []
    if ref.digest is None or any(entry.get("digest") == ref.digest for entry in entries):
        return found
    algorithm = ref.digest.partition(":")[0]
    for entry in entries[:MAX_READS]:
        if not str(entry.get("digest")).startswith(f"{algorithm}:"):
            with contextlib.suppress(UsageError):
                found += [entry] if digests.match(read(manifest.descriptor(entry)), ref.digest) else []
    return found


def read_blob(path: Path, wanted: Descriptor, ref: Reference) -> bytes:
    """A small blob, checked against its digest. Raises UsageError for one that is damaged or missing."""
    return check_blob(_read(path, manifest.MAX_MANIFEST_BYTES, ref), wanted, ref)


def check_blob(data: bytes, wanted: Descriptor, ref: Reference) -> bytes:
    if not digests.match(data, wanted.digest):
        raise UsageError(f"{ref.name} is damaged: {wanted.digest} has other content", "fetch or build the image again")
    return data


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digests.path(digest)


def _read(path: Path, limit: int, ref: Reference) -> bytes:
    try:
        with open(files.open_regular(path), "rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        known = os.path.isdir(ref.name)
        hint = "the folder is not an OCI layout, or not whole" if known else "give the folder of an OCI layout"
        raise UsageError(f"there is no image at {ref.name}: {path.name} is missing", hint) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give the folder of an OCI layout") from None
    if len(data) > limit:
        raise UsageError(f"{path} has more than {limit} bytes")
    return data


def dump(value: Any) -> bytes:
    """JSON as this project writes it where nobody else did."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
