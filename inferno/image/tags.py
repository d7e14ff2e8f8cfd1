"""Which entries of a layout's index a reference names: those of its tag, of its digest, or the only ones there are."""

from __future__ import annotations

from inferno.base.errors import UsageError
from inferno.image.index import Entry
from inferno.image.reference import Reference

# The second is containerd's, and Docker's with its store: the whole name, where the first has the tag alone.
_NOTES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
_MAX_SHOWN = 20


def named(entries: list[Entry], ref: Reference) -> list[Entry]:
    """The entries to choose from: one tag may stand at an image for each machine. Raises UsageError for none."""
    if ref.digest is not None:
        # Not only those of index.json: what the layout has, by its digest, it has.
        return [entry for entry in entries if entry.get("digest") == ref.digest] or [{"digest": ref.digest, "size": 0}]
    if ref.tag is None:
        tagged = [entry for entry in entries if _names(entry)]
        if len({frozenset(_names(entry)) for entry in tagged}) > 1 and len(_digests(tagged)) > 1:
            raise several(entries, ref)
        return entries
    found = [entry for entry in entries if ref.tag in _names(entry)]
    found = found or [entry for entry in entries if any(_ends_in(name, ref.tag) for name in _names(entry))]
    if not found:
        raise UsageError(f"{ref.name} holds no image {ref.tag!r}", f"it holds {_listed(entries)}")
    return found


def several(entries: list[Entry], ref: Reference) -> UsageError:
    """The error for images among which nothing decides."""
    if ref.tag is None:
        return UsageError(f"{ref.name} holds several images", f"it holds {_listed(entries)}; name one of them behind :")
    digests = ", ".join(_digests(entries))
    return UsageError(f"{ref.name} holds several images {ref.tag!r}", f"name one by its digest, behind @: {digests}")


def _names(entry: Entry) -> list[str]:
    notes = entry.get("annotations")
    found = [notes.get(note) for note in _NOTES] if isinstance(notes, dict) else []
    return [name for name in found if isinstance(name, str) and name]


def _ends_in(name: str, tag: str) -> bool:
    """Whether a whole name, docker.io/library/app:v1, is app:v1 or v1 in full."""
    return name.endswith((f"/{tag}", f":{tag}"))


def _digests(entries: list[Entry]) -> list[str]:
    return list(dict.fromkeys(str(entry.get("digest")) for entry in entries))


def _listed(entries: list[Entry]) -> str:
    """The tags, or the digests where there are none."""
    found = list(dict.fromkeys(name for entry in entries for name in _names(entry)[:1]))
    found = sorted(found) if found else [f"@{digest}" for digest in _digests(entries)]
    return ", ".join(name[:100] for name in found[:_MAX_SHOWN]) + (", …" if len(found) > _MAX_SHOWN else "")
