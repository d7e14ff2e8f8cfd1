"""The images that are here: their references, sizes, and which VMs use them.

What makes or fetches images is loaded only by what looks into one: it would take most of a `list`.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from inferno.base import records
from inferno.base.errors import UsageError
from inferno.image import stamp
from inferno.image.stamp import Stamp
from inferno.settings import Settings
from inferno.state.paths import Paths

_MIN_PREFIX = 4


class Listed(NamedTuple):
    """An image in a few fields: its references, the bytes of its base on the disk and when that was made, and VMs."""

    digest: str
    refs: list[str]
    base_bytes: int | None
    created_at: str | None
    used_by: list[str]


class Layer(NamedTuple):
    digest: str
    size: int


class Process(NamedTuple):
    """What an image runs, unless the user says otherwise; `stop_signal` is a number."""

    entrypoint: list[str]
    cmd: list[str]
    env: list[str]
    working_dir: str
    user: str
    stop_signal: int


class Details(NamedTuple):
    """An image in full: `Listed`, and what its manifest and configuration say, None where its files are gone.

    `layers` have their compressed sizes, `blob_bytes` is what of them is here.
    """

    digest: str
    refs: list[str]
    base_bytes: int | None
    created_at: str | None
    used_by: list[str]
    platform: str | None = None
    layers: list[Layer] | None = None
    blob_bytes: int | None = None
    base_sha256: str | None = None
    process: Process | None = None
    exposed_ports: list[str] | None = None
    volumes: list[str] | None = None
    healthcheck: dict[str, object] | None = None


class _Manifest(NamedTuple):
    """What is read of an image's manifest."""

    layers: list[Layer] | None = None


class Entry:
    """One image. Bytes are what it takes on the disk; `created_at` is in seconds."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.refs: list[str] = []
        self.base_bytes: int | None = None
        self.created_at: float | None = None
        self.used_by: list[str] = []

    def listed(self) -> Listed:
        """For programs: times as RFC 3339."""
        at = None if self.created_at is None else _time(self.created_at)
        return Listed(self.digest, self.refs, self.base_bytes, at, self.used_by)


class _Inputs(NamedTuple):
    image: str


class _Use(NamedTuple):
    """What is read of a version.json of any format (inferno/version/version_json.py)."""

    name: str
    inputs: _Inputs


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
        found.setdefault(use.inputs.image, set()).add(use.name)
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


def details(entry: Entry, settings: Settings) -> Details:
    """One image in full. Raises BadRecordError when its manifest is damaged."""
    from inferno.image import base, local_images, platforms, registry

    shown = Details(*entry.listed())
    known = local_images.image(entry.digest, settings)
    if known is None:
        return shown
    config = local_images.config(entry.digest, settings)
    layers = records.parse(_Manifest, known[0], f"the manifest of {entry.digest}", newer=True).layers or []
    noted = base.record(entry.digest, settings)
    return shown._replace(
        platform=platforms.of_config(config),
        layers=layers,
        blob_bytes=sum(_size(registry.blob(settings, layer.digest)) for layer in layers),
        base_sha256=noted.sha256 if noted else None,
        process=process(entry, settings),
        exposed_ports=list(config.exposed_ports),
        volumes=list(config.volumes),
        healthcheck=config.healthcheck,
    )


def process(entry: Entry, settings: Settings) -> Process:
    """What the image runs."""
    from inferno.image import local_images

    config = local_images.config(entry.digest, settings)
    return Process(*(getattr(config, name) for name in Process._fields))


def _names_it(ref: str, word: str) -> bool:
    """Whether a reference is `word` with the tag left out, nginx for nginx:latest, or ends in it: a digest, say."""
    return ref == f"{word}:latest" or ref.endswith((f"/{word}", f"@{word}"))


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
