"""Where an image's bytes come from: `resolve` says what a reference means now, `layers` opens what it is made of.

One module per kind of place, with the same three functions: `layout` (OCI folders), `archive` (OCI archives and files
of `docker save`), `docker_engine`, `registry`. What lies on this host is read where it is, never copied.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.base.progress import Progress, quiet
from inferno.image import reference
from inferno.image.reference import Reference
from inferno.settings import Settings

if TYPE_CHECKING:
    from inferno.image.layers.decompress import Blob


class Image(NamedTuple):
    """What a reference means: the digest that names the image, its manifest and configuration as they came.

    `place` says where it is, by a name of _PLACES. `seen` is what of the place would change with another image there:
    looking at it again is cheap. For an image of a Docker Engine's, which has no manifest, the digest is the
    configuration's.
    """

    digest: str
    manifest: bytes
    config: bytes
    place: str
    seen: str


class Access(NamedTuple):
    """How an image is to be had: for which platform ("linux/arm64"; None is this host's), and as whom.

    `authfile` is a file as `docker login` writes it; `credentials` are USER:PASSWORD and never shown.
    """

    platform: str | None = None
    authfile: str | None = None
    credentials: str | None = None

    def __repr__(self) -> str:
        return f"Access(platform={self.platform!r}, authfile={self.authfile!r})"


PUBLIC = Access()


class NotThereError(UsageError):
    """The registry has no such image, or says so: many do that of a private one."""


class Ask(NamedTuple):
    """What every place is asked with: the reference, how it is to be had, and whom to tell of long work."""

    ref: Reference
    access: Access
    settings: Settings
    progress: Progress = quiet


_PLACES = {
    reference.OCI: ("layout",),
    reference.OCI_ARCHIVE: ("archive",),
    reference.DOCKER_ARCHIVE: ("archive",),
    reference.ENGINE: ("engine",),
    reference.REGISTRY: ("registry",),
    # As Docker: what the engine here has, else the registry's.
    reference.ANY: ("engine", "registry"),
}
# A stamp keeps the name of the place, which stays when the module gets another.
_MODULES = {"layout": "layout", "archive": "archive", "engine": "docker_engine", "registry": "registry"}


def places(ref: Reference) -> tuple[str, ...]:
    """The places that are asked for a reference, in order."""
    return _PLACES[ref.transport]


def resolve(ask: Ask, *, remote: bool = True, fresh: bool = False) -> Image:
    """Ask the places in turn, registries only if `remote`, and if `fresh` these first.

    Raises UsageError when no place has such an image, or it is malformed.
    """
    *optional, last = places(ask.ref)
    if fresh and optional:
        return _freshest(ask, optional, last)
    for place in optional:
        found: Image | None = _module(place).resolve(ask, must=False)
        if found is not None:
            return found
    if last == "registry" and not remote:
        raise UsageError(f"image {ask.ref.text} is not here, and no registry may be asked", "--pull missing")
    image: Image = _module(last).resolve(ask, must=True)
    return image


def _freshest(ask: Ask, optional: list[str], last: str) -> Image:
    """The registry's; where that says that it has none, what is here under the name."""
    try:
        image: Image = _module(last).resolve(ask, must=True)
        return image
    except NotThereError as error:
        for place in optional:
            found: Image | None = _module(place).resolve(ask, must=False)
            if found is not None:
                ask.progress(f"{error.text}; taking that of the Docker Engine here")
                return found
        raise


def seen(ask: Ask, place: str) -> str | None:
    """What of the place would change with another image there; None when it no longer has one, or only a registry
    would know."""
    found: str | None = _module(place).seen(ask)
    return found


@contextlib.contextmanager
def layers(ask: Ask, image: Image) -> Iterator[list[Blob]]:
    """The image's layers, from the lowest up, open while the `with` lasts. Raises UsageError when one is missing."""
    with contextlib.ExitStack() as held:
        yield _module(image.place).layers(ask, image, held)


def open_part(held: contextlib.ExitStack, path: Path, offset: int = 0, size: int | None = None) -> tuple[int, int, int]:
    """Open a file for reading until `held` closes; return (descriptor, offset, size). Raises UsageError without it."""
    try:
        descriptor = files.open_regular(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "the image is not complete") from None
    held.callback(os.close, descriptor)
    return descriptor, offset, os.fstat(descriptor).st_size if size is None else size


def _module(place: str) -> ModuleType:
    return importlib.import_module(f"inferno.image.{_MODULES[place]}")
