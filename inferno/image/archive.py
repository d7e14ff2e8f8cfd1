"""Images in one file: an OCI layout in a tar (oci-archive), or what `docker save` writes (docker-archive).

The file is looked through once for where its parts are; layers are then read where they lie in it. One that is
compressed as a whole is first decompressed beside the images, into a file without a name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import digests, layout, manifest, oci_config, reference, worker_process
from inferno.image.layers import decompress, tar
from inferno.image.layers.decompress import Blob
from inferno.image.layers.entry import FILE, SYMLINK, BadImageError, Entry
from inferno.image.manifest import Descriptor
from inferno.image.reference import Reference
from inferno.image.source import Ask, Image
from inferno.state.paths import Paths

_MAX_PARTS = 20_000
_MANIFEST_MAX = manifest.MAX_MANIFEST_BYTES


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive: where each part of it lies."""

    ref: Reference
    descriptor: int
    parts: dict[str, Entry]

    def part(self, name: str) -> Entry:
        """A part by its name, through one symlink (`docker save` of old links equal layers). Raises UsageError."""
        entry = self.parts.get(os.path.normpath(name))
        if entry is not None and entry.kind == SYMLINK:
            target = os.path.normpath(os.path.join(os.path.dirname(name), os.fsdecode(entry.link)))
            entry = self.parts.get(target)
        if entry is None or entry.kind != FILE or entry.chunks is not None:
            raise UsageError(f"{self.ref.name} is not whole: {name[:200]} is missing", "save the image again")
        return entry

    def read(self, name: str) -> bytes:
        """A small part's content."""
        entry = self.part(name)
        if entry.size > _MANIFEST_MAX:
            raise UsageError(f"{self.ref.name}: {name[:200]} has {entry.size} bytes; {_MANIFEST_MAX} are allowed")
        return os.pread(self.descriptor, entry.size, entry.offset)

    def layer(self, name: str, digest: str | None, diff_id: str | None) -> Blob:
        entry = self.part(name)
        return Blob(self.descriptor, entry.offset, entry.size, digest, diff_id)


def resolve(ask: Ask, *, must: bool) -> Image:
    """The image in the file. Raises UsageError when there is none, or it is not whole."""
    with contextlib.ExitStack() as held:
        return look(_open(ask, held), ask, _stat(ask.ref))


def seen(ask: Ask) -> str | None:
    try:
        return _stat(ask.ref)
    except UsageError:
        return None


def layers(ask: Ask, image: Image, held: contextlib.ExitStack) -> list[Blob]:
    archive = _open(ask, held)
    found = look(archive, ask, "")
    if found.digest != image.digest:
        raise UsageError(f"{ask.ref.name} was changed meanwhile", "run it again")
    return parts(archive, found)


def look(archive: Archive, ask: Ask, seen: str) -> Image:
    """What the archive holds, of either kind."""
    if archive.ref.transport == reference.OCI_ARCHIVE:
        index = layout.read_index(archive.read("index.json"), archive.ref)
        found = layout.from_index(index, ask, lambda wanted: read_blob(archive, wanted), "archive")
        return Image(found.digest, found.manifest, found.config, "archive", seen)
    return _docker(archive, seen)


def parts(archive: Archive, image: Image) -> list[Blob]:
    """The image's layers in the archive."""
    if archive.ref.transport == reference.OCI_ARCHIVE:
        return [
            archive.layer(blob_name(layer.digest), layer.digest, diff_id)
            for layer, diff_id in layout.with_diff_ids(image)
        ]
    names, diff_ids = json.loads(image.manifest)["Layers"], oci_config.parse(image.config).diff_ids
    if len(names) != len(diff_ids):
        raise UsageError(f"the image has {len(names)} layers, but its configuration speaks of {len(diff_ids)}")
    return [archive.layer(name, None, diff_id) for name, diff_id in zip(names, diff_ids, strict=True)]


def _docker(archive: Archive, seen: str) -> Image:
    """manifest.json of `docker save`: [{"Config": name, "RepoTags": […], "Layers": [name, …]}, …]."""
    try:
        value = json.loads(archive.read("manifest.json"))
        found = [entry for entry in value if _is_entry(entry)]
    except (ValueError, TypeError, RecursionError):
        found = []
    if not found:
        raise UsageError(f"{archive.ref.name} holds no image", "is it a file of `docker save`?")
    entry = _named(found, archive.ref)
    if len(entry["Layers"]) > manifest.MAX_LAYERS:
        raise UsageError(f"the image has {len(entry['Layers'])} layers; {manifest.MAX_LAYERS} are allowed")
    text = archive.read(entry["Config"])
    oci_config.parse(text)
    return Image(manifest.digest_of(text), layout.dump(entry), text, "archive", seen)


def _named(found: list[dict[str, Any]], ref: Reference) -> dict[str, Any]:
    tags = {tag: entry for entry in found for tag in entry.get("RepoTags") or ()}
    if ref.tag is None:
        if len(found) == 1:
            return found[0]
        raise UsageError(f"{ref.name} holds several images", f"name one of {', '.join(sorted(tags))}")
    wanted = ref.tag if ":" in ref.tag else None
    for tag, entry in tags.items():
        if tag == wanted or ref.tag in (tag, tag.rpartition(":")[2]):
            return entry
    raise UsageError(f"{ref.name} holds no image {ref.tag!r}", f"it holds {', '.join(sorted(tags)) or 'none by name'}")


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        return False
    lists = [entry.get("Layers") or [], entry.get("RepoTags") or []]
    return all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)


def index(ref: Reference, descriptor: int, size: int) -> Archive:
    """Look through an open archive. Raises UsageError when it is none."""
    found: dict[str, Entry] = {}
    try:
        for entry in tar.entries(descriptor, size, 0):
            entry.xattrs = None  # up to 1 MiB each
            if entry.chunks is not None:
                entry.chunks = []  # a part with holes is refused, whatever they are
            found[os.path.normpath(os.fsdecode(entry.name))] = entry
            if len(found) > _MAX_PARTS:
                raise BadImageError(f"more than {_MAX_PARTS} parts")
    except BadImageError as error:
        raise UsageError(f"{ref.name} is not an archive of an image: {error}", "save the image again") from None
    return Archive(ref, descriptor, found)


def _open(ask: Ask, held: contextlib.ExitStack) -> Archive:
    ref, settings = ask.ref, ask.settings
    descriptor = held.enter_context(_opened(ref))
    size = os.fstat(descriptor).st_size
    blob = decompress.Blob(descriptor, 0, size, None, None)
    if not decompress.is_plain(blob):
        packed, descriptor = descriptor, held.enter_context(files.nameless(Paths(settings.root).images))
        job = {"do": "plain", "packed": blob._asdict(), "out": descriptor}
        worker_process.run(job, [packed], [descriptor], settings, ask.progress, needed=size)
        size = os.fstat(descriptor).st_size
    return index(ref, descriptor, size)


@contextlib.contextmanager
def _opened(ref: Reference) -> Iterator[int]:
    try:
        descriptor = os.open(ref.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"there is no image at {ref.name}: {error.strerror}", "give the file of an image") from None
    try:
        if not os.path.isfile(f"/proc/self/fd/{descriptor}"):
            raise UsageError(f"{ref.name} is not a file", f"for a folder: oci:{ref.name}")
        yield descriptor
    finally:
        os.close(descriptor)


def _stat(ref: Reference) -> str:
    try:
        info = os.stat(ref.name)
    except OSError as error:
        raise UsageError(f"there is no image at {ref.name}: {error.strerror}", "give the file of an image") from None
    return f"{info.st_mtime_ns} {info.st_size} {info.st_ino}"


def read_blob(archive: Archive, wanted: Descriptor) -> bytes:
    return layout.check_blob(archive.read(blob_name(wanted.digest)), wanted, archive.ref)


def blob_name(digest: str) -> str:
    return f"blobs/{digests.path(digest)}"
