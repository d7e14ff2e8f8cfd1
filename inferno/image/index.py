"""Choosing in an index: the one image of it that is wanted, for the platform that is wanted.

An index may name indexes, and may leave out what an image is made for: then the image's configuration is asked. What
BuildKit and signers put beside images is passed over.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.image import manifest, oci_config, platforms
from inferno.image.manifest import Descriptor, Manifest
from inferno.image.source import Ask

MAX_DEPTH = 4
# Of manifests and configurations that are read to learn what an image is made for.
MAX_READS = 128
_KNOWN = (*manifest.INDEXES, *manifest.MANIFESTS, "")
# Of OCI's 1.1 before its release.
_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
_MAX_SHOWN = 5
Entry = dict[str, Any]


class Store(Protocol):
    """Where manifests and configurations are; both come checked against their digests."""

    def manifest(self, wanted: Descriptor) -> bytes: ...

    def config(self, found: Manifest) -> bytes: ...


class Fit(NamedTuple):
    """An image that fits, and how well."""

    rank: float
    wanted: Descriptor


class Search:
    """Looks through an index, once."""

    def __init__(self, ask: Ask, store: Store) -> None:
        self._ask, self._store = ask, store
        self._made_for: set[str] = set()
        self._others: set[str] = set()
        self._reason = ""
        self._reads = 0

    def best(self, entries: list[Entry], depth: int = 0) -> Fit | None:
        """The image that fits best, the first of several; None when none does. Raises UsageError."""
        if depth > MAX_DEPTH:
            raise UsageError(f"image {self._ask.ref.text} has indexes in indexes, more than {MAX_DEPTH} deep")
        found = [fit for entry in entries if (fit := self.of(entry, depth))]
        return max(found, key=lambda fit: fit.rank, default=None)

    def of(self, entry: Entry, depth: int = 0) -> Fit | None:
        """What fits in one entry. Raises UsageError.

        What is of another media type than manifests may be one all the same; else it is passed over, as the OCI
        specification wants it.
        """
        if _is_beside(entry):
            return None
        media_type = entry.get("mediaType") or ""
        if media_type in _KNOWN:
            return self._inside(entry, depth)
        try:
            return self._inside({**entry, "platform": None}, depth)
        except UsageError as error:
            self._others.add(str(media_type)[:100])
            self._reason = self._reason or f": {error.text}"
            return None

    def _inside(self, entry: Entry, depth: int) -> Fit | None:
        wanted, declared = manifest.descriptor(entry), platforms.of_image(entry.get("platform"))
        if declared is not None and (wanted.media_type not in manifest.INDEXES or not self._fits(declared)):
            return self._ranked(declared, wanted)
        found = self._manifest(wanted)
        if not isinstance(found, Manifest):
            return self.best(found, depth + 1)
        if found.other:
            self._others.add(found.other)
            return None
        self._count()
        said = declared or platforms.of_config(oci_config.parse(self._store.config(found)))
        return Fit(0.0, wanted) if said is None else self._ranked(said, wanted)

    def follow(self, found: Fit) -> Manifest:
        """The manifest of what was chosen. Raises UsageError."""
        for depth in range(MAX_DEPTH):
            here = self._manifest(found.wanted)
            if isinstance(here, Manifest):
                manifest.check(self._ask.ref.text, here)
                return here
            found = self.best(here, depth + 1) or self.none()
        raise UsageError(f"image {self._ask.ref.text} has indexes in indexes, more than {MAX_DEPTH} deep")

    def none(self) -> NoReturn:
        """Nothing fits. Raises UsageError, always."""
        if self._others and not self._made_for:
            there = ", ".join(sorted(self._others)[:_MAX_SHOWN])
            raise UsageError(f"{self._ask.ref.text} holds no image{self._reason}", f"by its media type it is {there}")
        raise platforms.refusal(self._ask.ref.text, self._ask.access.platform, self._made_for)

    def _manifest(self, wanted: Descriptor) -> Manifest | list[Entry]:
        self._count()
        return manifest.parse(self._store.manifest(wanted))

    def _count(self) -> None:
        self._reads += 1
        if self._reads > MAX_READS:
            raise UsageError(f"the index of image {self._ask.ref.text} names too many images without their platforms")

    def _fits(self, made_for: str) -> bool:
        return platforms.fit(made_for, self._ask.access.platform) is not None

    def _ranked(self, made_for: str, wanted: Descriptor) -> Fit | None:
        self._made_for.add(made_for)
        rank = platforms.fit(made_for, self._ask.access.platform)
        return None if rank is None else Fit(rank, wanted)


def _is_beside(entry: Entry) -> bool:
    """Whether an entry is not an image: an attestation of BuildKit's, a signature, a list of parts."""
    notes, platform = entry.get("annotations"), entry.get("platform")
    if isinstance(notes, dict) and notes.get("vnd.docker.reference.type") == "attestation-manifest":
        return True
    unknown = isinstance(platform, dict) and "unknown" in (platform.get("os"), platform.get("architecture"))
    kind = entry.get("artifactType")
    is_other = isinstance(kind, str) and not manifest.is_image_type(kind)
    return unknown or is_other or entry.get("mediaType") == _ARTIFACT
