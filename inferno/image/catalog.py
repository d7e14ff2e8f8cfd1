"""The images that are here: their references, sizes, and which VMs use them.

What makes or fetches images is loaded only by what looks into one: it would take most of a `list`.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple

from inferno.base import records
from inferno.base.errors import UsageError
from inferno.image import stamp
from inferno.image.stamp import Stamp
from inferno.settings import Settings
from inferno.state.paths import Paths

_MIN_PREFIX = 4
_DETAILS = ("platform", "layers", "blob_bytes", "base_sha256", "process", "exposed_ports", "volumes", "healthcheck")


class Entry:
    """One image. Bytes are what it takes on the disk; `created_at` is in seconds."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.refs: list[str] = []
        self.base_bytes: int | None = None
        self.created_at: float | None = None
        self.used_by: list[str] = []

    def to_json(self) -> dict[str, Any]:
        """For programs: times as RFC 3339."""
        return {**vars(self), "created_at": None if self.created_at is None else _time(self.created_at)}


class _Use(NamedTuple):
    """What is read of a version.json (inferno/version/record.py)."""

    name: str
    image: str


def entries(settings: Settings) -> list[Entry]:
    """Every image that is here, the newest first."""
    paths = Paths(settings.root)
    images = os.fspath(paths.images)
    found: dict[str, Entry] = {}
    for name in _names(images):
        if len(name) == 64:
            entry = found[f"sha256:{name}"] = Entry(f"sha256:{name}")
            try:
                info = os.stat(f"{images}/{name}/rootfs.erofs")
            except OSError:
                continue
            entry.base_bytes, entry.created_at = info.st_blocks * 512, info.st_mtime
    for known in stamps(settings):
        if known.digest in found and known.ref not in found[known.digest].refs:  # once per platform asked for
            found[known.digest].refs.append(known.ref)
    for digest, names in users(settings).items():
        if digest in found:
            found[digest].used_by = sorted(names)
    return sorted(found.values(), key=lambda entry: (-(entry.created_at or 0), entry.digest))


def stamps(settings: Settings) -> list[Stamp]:
    """All references that were looked up."""
    folder = os.fspath(Paths(settings.root).images / "refs")
    found = (stamp.read(f"{folder}/{name}") for name in sorted(_names(folder)) if not name.startswith("."))
    return [known for known in found if known]


def users(settings: Settings) -> dict[str, set[str]]:
    """The VMs by the digests of the images of their versions: the current ones, and old ones that run still."""
    paths = Paths(settings.root)
    found: dict[str, set[str]] = {}
    for ulid in _names(paths.versions):
        try:
            use = records.read(_Use, paths.version(ulid).record, newer=True)
        except (OSError, records.BadRecordError):
            continue
        found.setdefault(use.image, set()).add(use.name)
    return found


def find(word: str, settings: Settings) -> Entry:
    """The image that a reference, a digest or the beginning of one means. Raises UsageError for none, or several."""
    here = entries(settings)
    digits = word.removeprefix("sha256:")
    matches = [entry for entry in here if word in entry.refs]
    if not matches and len(digits) >= _MIN_PREFIX:
        matches = [entry for entry in here if entry.digest.removeprefix("sha256:").startswith(digits)]
    if not matches:
        matches = [entry for entry in here if any(_names_it(ref, word) for ref in entry.refs)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{word!r} means {len(matches)} images", "give more of the digest")
    raise UsageError(f"there is no image {word!r} here", "infernoctl images list")


def details(entry: Entry, settings: Settings) -> dict[str, Any]:
    """One image in full; what is not known of one whose files are gone is None."""
    from inferno.image import base, local_images, registry

    shown = {**entry.to_json(), **dict.fromkeys(_DETAILS)}
    known = local_images.image(entry.digest, settings)
    if known is None:
        return shown
    config = local_images.config(entry.digest, settings)
    manifest = json.loads(known[0])
    layers = manifest.get("layers") or []
    shown.update(
        platform=f"{config.os}/{config.architecture}",
        layers=[{"digest": layer["digest"], "size": layer["size"]} for layer in layers],
        blob_bytes=sum(_size(registry.blob(settings, layer["digest"])) for layer in layers),
        base_sha256=(base.record(entry.digest, settings) or {}).get("sha256"),
        process=process(entry, settings),
        exposed_ports=config.exposed_ports,
        volumes=config.volumes,
        healthcheck=config.healthcheck,
    )
    return shown


def process(entry: Entry, settings: Settings) -> dict[str, Any]:
    """What the image runs: entrypoint, cmd, env, working_dir, user, stop_signal."""
    from inferno.image import local_images

    config = local_images.config(entry.digest, settings)
    fields = ("entrypoint", "cmd", "env", "working_dir", "user", "stop_signal")
    return {name: getattr(config, name) for name in fields}


def _names_it(ref: str, word: str) -> bool:
    """Whether a reference is `word` with the tag left out: nginx for nginx:latest."""
    return ref == f"{word}:latest" or ref.endswith(f"/{word}")


def _time(seconds: float) -> str:
    """As `status` has it, without loading datetime."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03}Z"


def _names(folder: str | os.PathLike[str]) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _size(path: os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0
