"""What is known of images here: images/<digest>/ holds one, images/refs/ says which digest a reference meant.

A stamp is rewritten only when its text changes, so that nothing follows from looking again and finding the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from inferno import files
from inferno.config import Settings
from inferno.image import config as configs
from inferno.image import reference, source
from inferno.image.config import ImageConfig
from inferno.image.source import Image
from inferno.log import Progress, quiet
from inferno.paths import Paths


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a reference meant when it was last looked up: the image's digest, where it was, and what was seen there."""

    digest: str
    place: str
    seen: str


def stamp(ref: str, settings: Settings) -> Stamp | None:
    """What is known of a reference, or None."""
    try:
        return Stamp(**json.loads(Paths(settings.root).ref(ref).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def image(digest: str, settings: Settings) -> tuple[bytes, bytes] | None:
    """Manifest and configuration of an image, or None when it is not here."""
    folder = Paths(settings.root).image(digest)
    try:
        return (folder / "manifest.json").read_bytes(), (folder / "config.json").read_bytes()
    except OSError:
        return None


def config(digest: str, settings: Settings) -> ImageConfig:
    """The image's wishes. Raises UsageError for a malformed configuration, FileNotFoundError when it is not here."""
    return configs.parse((Paths(settings.root).image(digest) / "config.json").read_bytes())


def unchanged(ref: str, settings: Settings) -> bool:
    """Whether the image is here, and its place still has the same one, as far as that can be told without a registry.

    A place that is gone (a folder deleted, an engine stopped) has no other image, so what is here stays good.
    """
    known = stamp(ref, settings)
    if known is None or image(known.digest, settings) is None:
        return False
    return source.seen(reference.parse(ref), known.place, settings) in (None, known.seen)


def ensure(ref: str, settings: Settings, progress: Progress = quiet) -> Stamp:
    """Look the reference up, fetch what is not here, note what it means. Raises UsageError when it cannot be had."""
    found = source.resolve(reference.parse(ref), settings, progress)
    paths = Paths(settings.root)
    folder = paths.image(found.digest)
    files.write(folder / "manifest.json", found.manifest)
    files.write(folder / "config.json", found.config)
    made = Stamp(found.digest, found.place, found.seen)
    files.write_json(paths.ref(ref), asdict(made))
    return made


def load(known: Stamp, settings: Settings) -> Image:
    """The image of a stamp. Raises FileNotFoundError when it is not here."""
    found = image(known.digest, settings)
    if found is None:
        raise FileNotFoundError(known.digest)
    return Image(known.digest, *found, known.place, known.seen)
