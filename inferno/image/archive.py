"""Images in one file: an OCI layout in a tar (oci-archive), or what `docker save` writes (docker-archive).

The file is looked through once for where its parts are; layers are then read where they lie in it. One that is
compressed as a whole is first decompressed beside the images, into a file without a name.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.image import (
    digests,
    file_digest,
    layout,
    manifest,
    oci_config,
    platforms,
    reference,
    worker_process,
)
from inferno.image.docker_v1_archive import V1Archive
from inferno.image.layers import decompress
from inferno.image.layers.decompress import Blob
from inferno.image.manifest import Descriptor
from inferno.image.parts import Archive, index
from inferno.image.reference import Reference
from inferno.image.source import Ask, Image
from inferno.state.paths import Paths

_MAX_NAMES = 20_000
# Entries of one name are looked into for their platform: Docker knows some ten.
_MAX_OF_ONE_NAME = 20
# Of an entry of manifest.json: that with all of its layers' names, and its configuration.
_Read = Callable[[dict[str, Any]], tuple[dict[str, Any], bytes]]


def resolve(ask: Ask, *, must: bool) -> Image:
    """The image in the file. Raises UsageError when there is none, or it is not whole."""
    with contextlib.ExitStack() as held:
        content = _content(ask)  # first: a file that is replaced meanwhile is then found changed by the next look
        return look(_open(ask, held), ask, content)


def seen(ask: Ask) -> str | None:
    try:
        return _content(ask)
    except UsageError:
        return None


def layers(ask: Ask, image: Image, held: contextlib.ExitStack) -> list[Blob]:
    archive = _open(ask, held)
    found = look(archive, ask, "")
    if found.digest != image.digest:
        raise UsageError(f"{ask.ref.name} was changed meanwhile", "run it again")
    return layers_of(archive, found)


def look(archive: Archive, ask: Ask, seen: str) -> Image:
    """What the archive holds, of either kind."""
    if archive.ref.transport == reference.OCI_ARCHIVE:
        _expect(archive, "index.json", "manifest.json", reference.DOCKER_ARCHIVE)
        entries = layout.read_index(archive.read("index.json"), archive.ref)
        found = layout.from_index(entries, ask, lambda wanted: read_blob(archive, wanted), "archive")
        return Image(found.digest, found.manifest, found.config, "archive", seen)
    return _docker(archive, ask, seen)


def layers_of(archive: Archive, image: Image) -> list[Blob]:
    """The image's layers in the archive."""
    if archive.ref.transport == reference.OCI_ARCHIVE:
        return [
            archive.layer(blob_name(layer.digest), layer.digest, diff_id)
            for layer, diff_id in layout.with_diff_ids(image)
        ]
    names, diff_ids = oci_config.read_json(image.manifest)["Layers"] or [], oci_config.parse(image.config).diff_ids
    if len(names) != len(diff_ids):
        raise UsageError(f"the image has {len(names)} layers, but its configuration speaks of {len(diff_ids)}")
    return [archive.layer(name, None, diff_id) for name, diff_id in zip(names, diff_ids, strict=True)]


def _expect(archive: Archive, name: str, other: str, kind: str) -> None:
    """Raises UsageError for an archive of the other kind, which is named."""
    if name not in archive.parts and other in archive.parts:
        path = archive.ref.name
        raise UsageError(f"{path} holds no image: {name} is missing", f"by its parts it is {kind}:{path}")


def _docker(archive: Archive, ask: Ask, seen: str) -> Image:
    """The image that is wanted of a file of `docker save`."""
    found, read = _entries(archive)
    if not found:
        raise UsageError(f"{archive.ref.name} holds no image", "is it a file of `docker save`?")
    if len(found) + sum(len(entry.get("RepoTags") or ()) for entry in found) > _MAX_NAMES:
        raise UsageError(f"{archive.ref.name} holds more than {_MAX_NAMES} images and names")
    entry, text = _chosen(archive, _named(found, archive.ref), ask, read)
    layers = entry.get("Layers") or []
    if len(layers) > manifest.MAX_LAYERS:
        raise UsageError(f"the image has {len(layers)} layers; {manifest.MAX_LAYERS} are allowed")
    return Image(manifest.digest_of(text), layout.dump({**entry, "Layers": layers}), text, "archive", seen)


def _entries(archive: Archive) -> tuple[list[dict[str, Any]], _Read]:
    """manifest.json: [{"Config": name, "RepoTags": […], "Layers": [name, …]}, …]; and how an entry is read."""
    _expect(archive, "manifest.json", "index.json", reference.OCI_ARCHIVE)
    if "manifest.json" not in archive.parts:
        old = V1Archive(archive)
        if not (ids := old.images()):
            hint = "is it a file of `docker save`? That of `docker export` has no image's configuration"
            raise UsageError(f"{archive.ref.name} holds no image: manifest.json is missing", hint)
        return [{"Config": name, "RepoTags": tags} for name, tags in ids.items()], functools.partial(_read_old, old)
    try:
        value = oci_config.read_json(archive.read("manifest.json"))
        found = [entry for entry in value if _is_entry(entry)]
    except (ValueError, TypeError, RecursionError):
        found = []
    return found, lambda entry: (entry, archive.read(entry["Config"]))


def _read_old(old: V1Archive, entry: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    layers, text = old.read(entry["Config"])
    return {**entry, "Layers": layers}, text


def _named(found: list[dict[str, Any]], ref: Reference) -> list[dict[str, Any]]:
    """The entries that a reference's tag means, or its `@NUMBER`, as containers-transports(5) has it."""
    if ref.tag is None:
        return found
    if ref.tag.startswith("@") and ref.tag[1:].isascii() and ref.tag[1:].isdecimal() and len(ref.tag) < 9:
        number = int(ref.tag[1:])
        if number < len(found):
            return [found[number]]
    named = [entry for entry in found if any(_means(ref.tag, tag) for tag in entry.get("RepoTags") or ())]
    if not named:
        raise UsageError(f"{ref.name} holds no image {ref.tag!r}", _there(found))
    whole = [entry for entry in named if ref.tag in entry["RepoTags"]]
    return whole or named


def _means(word: str, tag: str) -> bool:
    """Whether somebody's word for an image is the archive's: NAME:TAG, short or in full, or the tag alone."""
    if word in (tag, tag.rpartition(":")[2]):
        return True
    try:
        return ":" in word and reference.parse(f"docker://{word}").name_and_tag == _whole(tag)
    except UsageError:
        return False


def _whole(tag: str) -> tuple[str, str | None]:
    return reference.parse(f"docker://{tag}").name_and_tag


def _there(found: list[dict[str, Any]]) -> str:
    shown = [(entry.get("RepoTags") or [f"@{number}"])[0][:200] for number, entry in enumerate(found)]
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return f"name one of {', '.join(shown[:20])}{more}"


def _chosen(archive: Archive, named: list[dict[str, Any]], ask: Ask, read: _Read) -> tuple[dict[str, Any], bytes]:
    """The entry for the wanted platform, and its configuration. `docker save --platform` writes one for each.

    Of several of one name the last, as `docker load` has it. Raises UsageError for none, or several without a name.
    """
    ref, fits, made_for = archive.ref, [], set()
    for entry, text in map(read, named[-_MAX_OF_ONE_NAME:]):
        platform = platforms.of_config(oci_config.parse(text))
        if ref.digest is None or digests.match(text, ref.digest):
            made_for.add(platform or "any")
            rank = 0.0 if platform is None else platforms.fit(platform, ask.access.platform)
            if rank is not None:
                fits.append((rank, entry, text))
    if not made_for:
        raise UsageError(f"{ref.name} holds no image {ref.digest}", _there(named))
    best = [fit for fit in fits if fit[0] == max(rank for rank, _, _ in fits)]
    if not best:
        raise platforms.refusal(ask.ref.text, ask.access.platform, made_for)
    if ref.tag is None and len({text for _, _, text in best}) > 1:
        raise UsageError(f"{ref.name} holds several images", _there(named))
    return best[-1][1:]


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        return False
    lists = [entry.get("Layers") or [], entry.get("RepoTags") or []]
    return all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)


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
        descriptor = files.open_regular(Path(ref.name))
    except OSError as error:
        hint = f"for a folder: oci:{ref.name}" if os.path.isdir(ref.name) else "give the file of an image"
        raise UsageError(f"there is no image at {ref.name}: {error.strerror}", hint) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _content(ask: Ask) -> str:
    """The digest of the whole file."""
    path = Path(ask.ref.name)
    try:
        return file_digest.of(path, Paths(ask.settings.root).images / "files")
    except OSError as error:
        hint = f"for a folder: oci:{path}" if path.is_dir() else "give the file of an image"
        raise UsageError(f"there is no image at {path}: {error.strerror}", hint) from None


def read_blob(archive: Archive, wanted: Descriptor) -> bytes:
    return layout.check_blob(archive.read(blob_name(wanted.digest)), wanted, archive.ref)


def blob_name(digest: str) -> str:
    return f"blobs/{digests.path(digest)}"
