"""What is known of images here: images/<digest>/ holds one, images/refs/ says which digest a reference meant.

A stamp's text changes only with the image, so that nothing follows from looking again and finding the same; when it was
looked up last is the file's time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from inferno.base import debug, files, records
from inferno.base.errors import UsageError
from inferno.base.progress import Progress, quiet
from inferno.image import oci_config as configs
from inferno.image import reference, source
from inferno.image.oci_config import ImageConfig
from inferno.image.platforms import OtherPlatformError
from inferno.image.source import PUBLIC, Access, Ask, Image
from inferno.image.stamp import Stamp, key, read
from inferno.settings import Settings
from inferno.state.paths import Paths

MISSING, ALWAYS, NEVER = "missing", "always", "never"
POLICIES = (MISSING, ALWAYS, NEVER)


def stamp(ref: str, settings: Settings, platform: str | None = None) -> Stamp | None:
    """What is known of a reference, or None."""
    found = read(stamp_path(ref, settings, platform))
    return found if found and (found.ref, found.platform) == (ref, platform) else None


def stamp_path(ref: str, settings: Settings, platform: str | None = None) -> Path:
    """Where the stamp of a reference is, or will be."""
    return Paths(settings.root).ref(key(ref, platform))


def folder(ref: str, settings: Settings, platform: str | None = None) -> list[Path]:
    """What a stamp names: the folder of the image, if there is a stamp."""
    known = stamp(ref, settings, platform)
    return [Paths(settings.root).image(known.digest)] if known else []


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


def unchanged(ref: str, settings: Settings, access: Access = PUBLIC, policy: str = MISSING) -> bool:
    """Whether what is here will do, without a look at any registry.

    Files and engines of this host are looked at each time; a place that is gone has no other image, so what is here
    stays good. A registry is asked again when the policy says so, or the stamp is old.
    """
    known = stamp(ref, settings, access.platform)
    here = image(known.digest, settings) if known else None
    if known is None or here is None:
        debug.say(f"image {ref} is not here")
        return False
    ask = Ask(reference.parse(ref), access, settings)
    good = _is_current(ask, known, policy) and not _is_overtaken(ask, known, here[1])
    debug.say(f"image {ref} is here, from {known.place}: {known.digest}{'' if good else '; looked up again'}")
    return good


def _is_current(ask: Ask, known: Stamp, policy: str) -> bool:
    """Whether the place that the image is from has it still, as far as may be asked."""
    if ask.ref.digest and not ask.ref.is_local_file:
        return True
    if known.place == "registry":
        return policy == NEVER or not (policy == ALWAYS or _is_old(ask.ref.text, ask.settings, ask.access))
    if policy == ALWAYS and "registry" in source.places(ask.ref):
        return False
    return source.seen(ask, known.place) in (None, known.seen)


def _is_overtaken(ask: Ask, known: Stamp, config: bytes) -> bool:
    """Whether a place that counts more than the known one has another image of the name by now.

    The engine knows the image by its manifest or its configuration when it has the same.
    """
    if ask.ref.digest:
        return False
    order = source.places(ask.ref)
    found = (source.seen(ask, place) for place in order[: order.index(known.place)])
    same = (known.digest, f"sha256:{hashlib.sha256(config).hexdigest()}")
    return any(each is not None and each not in same for each in found)


def ensure(
    ref: str,
    settings: Settings,
    access: Access = PUBLIC,
    policy: str = MISSING,
    progress: Progress = quiet,
) -> Stamp:
    """Look the reference up, fetch what is not here, note what it means. Raises UsageError when it cannot be had.

    A registry that is asked only because the stamp is old, and does not answer, leaves what is here good.
    """
    known = stamp(ref, settings, access.platform)
    try:
        ask = Ask(reference.parse(ref), access, settings, progress)
        found = source.resolve(ask, remote=policy != NEVER, fresh=policy == ALWAYS)
    except UsageError as error:
        lasts = known is not None and known.place == "registry" and image(known.digest, settings) is not None
        if policy == ALWAYS or known is None or not lasts or isinstance(error, OtherPlatformError):
            raise
        progress(f"{error.text}; going on with what is here")
        return known
    made = Stamp(ref, found.digest, found.place, found.seen, access.platform)
    _note(found, made, stamp_path(ref, settings, access.platform), settings)
    return made


def _note(found: Image, made: Stamp, path: Path, settings: Settings) -> None:
    """One at a time, so that what is unfinished is known to be of one that was killed."""
    paths = Paths(settings.root)
    folder = paths.image(found.digest)
    with files.lock(paths.lock("image-notes"), "what is noted of images"):
        for written in (folder / "manifest.json", folder / "config.json", path):
            files.remove_unfinished(written)
        files.write(folder / "manifest.json", found.manifest)
        files.write(folder / "config.json", found.config)
        if not records.write(path, made):
            os.utime(path)


def lock(settings: Settings, what: str, *, alone: bool = False) -> contextlib.AbstractContextManager[None]:
    """Held by what uses images to make something, and `alone` by what removes some."""
    return files.lock(Paths(settings.root).lock("images"), what, shared=not alone, keep=True)


def load(known: Stamp, settings: Settings) -> Image:
    """The image of a stamp. Raises FileNotFoundError when it is not here."""
    found = image(known.digest, settings)
    if found is None:
        raise FileNotFoundError(known.digest)
    return Image(known.digest, *found, known.place, known.seen)


def _is_old(ref: str, settings: Settings, access: Access) -> bool:
    if settings.image_max_age_s is None:
        return False
    age_s = time.time() - stamp_path(ref, settings, access.platform).stat().st_mtime
    return not 0 <= age_s <= settings.image_max_age_s  # one from the future is of a clock that was wrong
