"""Copies between a guest and this host, by the rules that `docker cp` has for names.

A folder that is there is copied into; `/.` at the end of a source means what is in it; a name that is not there becomes
the copy's own. Links at the end of a destination are followed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.base.text import printable
from inferno.reach import command, destination, vsock
from inferno.reach.bounds import STANDARD, Bounds
from inferno.reach.channel import Channel
from inferno.reach.destination import Destination, IntoWhatIsThere
from inferno.reach.guest import Guest
from inferno.reach.pack import open_source, pack
from inferno.reach.relay import Relay
from inferno.reach.unpack import How, Place, pour, unpack

_FILES, _STAT = "/v1/files", "/v1/stat"
_ANSWER_S = 10.0
_KINDS = ("file", "directory", "link", "other")
_MAX_LINKS = 40  # as the kernel: path_resolution(7)
_READ_BYTES = 64 * 1024
# Where a path of the guest's means another thing for each process: /dev/stdout and /dev/fd lead there.
_OWN_OF_INIT = ("/proc/self/", "/proc/thread-self/")


@dataclass(frozen=True, slots=True)
class Source:
    """A path to copy from. `name` is how it ends, empty for `/`.

    `contents`: what is in that folder was meant; `folder`: it must be one, and a link there is followed.
    """

    path: str
    contents: bool
    folder: bool

    @classmethod
    def of(cls, text: str) -> Source:
        """Raises UsageError for one that ends with `..`, whose name nobody knows."""
        path = destination.without_end(text)
        if os.path.basename(path) == "..":
            raise UsageError(f"{text} ends with '..'", "name the folder itself")
        return cls(path, text.endswith("/.") or path in ("/", "."), text.endswith(("/", "/.")))

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def out(guest: Guest, path: str, to: str, how: How, bounds: Bounds = STANDARD) -> list[str]:
    """From the guest to this host; return the names of what is not copied: devices, pipes and sockets.

    Raises InfernoError, UsageError.
    """
    source = Source.of(_absolute(path))
    follow = how.follow or source.folder
    found = _stat(guest, source.path, follow=follow)
    if found is None:
        raise InfernoError(f"there is no {source.path} in {guest.name}")
    is_folder = found["kind"] == "directory"
    if source.folder and not is_folder:
        raise InfernoError(f"{source.path} in {guest.name} is not a folder")
    place = destination.of(to, source.name, contents=source.contents, is_folder=is_folder)
    _check_bytes(place, found["kind"], f"{source.path} in {guest.name}")
    descriptor = place.opened()
    try:
        stream, received = command.stream(guest.root, "GET", _FILES, {"path": source.path, "follow": follow})
        with stream:
            channel = Channel(stream, received, bounds.idle_s)
            read = bounds.metered(channel.read)
            top = source.name.encode() or None
            if isinstance(place, IntoWhatIsThere):
                pour(read, top, descriptor, bounds)
                return []
            return unpack(read, Place(descriptor, top, place.name), how, bounds) + channel.left_out()
    finally:
        os.close(descriptor)


def _check_bytes(place: Destination, kind: str, what: str) -> None:
    """Raises InfernoError where a device or a pipe should take something else than the bytes of a file."""
    if isinstance(place, IntoWhatIsThere) and kind != "file":
        hint = "to copy what it leads to: -L" if kind == "link" else None
        raise InfernoError(f"{what} is not a file, and only a file goes into {place.path}", hint)


def into(guest: Guest, text: str, path: str, how: How, bounds: Bounds = STANDARD) -> list[str]:
    """From this host to the guest; `how.owners`: as here, else root. Returns the names of what is not copied: sockets.

    Raises InfernoError, UsageError.
    """
    source = Source.of(text)
    ours = destination.own_descriptor(source.path) is not None
    here = os.path.realpath(source.path) if (how.follow and not ours) or source.folder else source.path
    if not os.path.lexists(here):
        raise InfernoError(f"there is no {source.path} here")
    is_folder = os.path.isdir(here) and not os.path.islink(here) and not ours
    if source.folder and not is_folder:
        raise InfernoError(f"{source.path} is not a folder")
    with open_source(here) as (open_file, is_file):
        folder, name = _target(guest, _absolute(path), source, is_folder=is_folder, is_file=is_file)
        stream, received = command.stream(guest.root, "PUT", _FILES, {"path": folder})
        with stream:
            channel = Channel(stream, received, bounds.idle_s)
            skipped = pack(channel, here, name, keep=how.owners, content=open_file)
            channel.finish()
            return skipped


def archive_out(guest: Guest, path: str, *, follow: bool, bounds: Bounds = STANDARD) -> list[str]:
    """The archive itself, on standard output; return the names of the sockets that it lacks.

    Raises InfernoError, BrokenPipeError.
    """
    source = Source.of(_absolute(path))
    body = {"path": source.path, "follow": follow or source.folder}
    stream, received = command.stream(guest.root, "GET", _FILES, body)
    with stream:
        channel = Channel(stream, received, bounds.idle_s)
        read = bounds.metered(channel.read)
        while data := read(_READ_BYTES):
            files.write_all(1, data)
        return channel.left_out()


def archive_into(guest: Guest, path: str) -> int:
    """An archive from standard input, below a folder of the guest's; return the copy's exit status."""
    stream, received = command.stream(guest.root, "PUT", _FILES, {"path": _absolute(path)})
    with stream:
        return Relay(stream, stdin=0, stdout=1, stderr=2, size=None).run(received).status


def _absolute(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{path!r} is not UTF-8", "copy the folder that it is in") from None
    return path if path.startswith("/") else f"/{path}"


def _target(guest: Guest, path: str, source: Source, *, is_folder: bool, is_file: bool) -> tuple[str, str | None]:
    """The folder of the guest's to copy into, and what the copy is called there; None: as what is in it.

    A link at the end is followed, also to where nothing is yet.
    """
    found = _stat(guest, path, follow=True)
    if found is not None and found["kind"] == "directory":
        return path, None if source.contents else os.path.basename(os.path.abspath(source.path))
    there = destination.without_end(path)
    if there != path and not is_folder and found is None:
        raise InfernoError(
            f"there is no folder {there} in {guest.name}", "the slash at its end wants one that is there"
        )
    if found is not None and (is_folder or there != path):
        raise InfernoError(f"{there} in {guest.name} is not a folder")
    if found is not None and found["kind"] == "other" and not is_file:
        raise InfernoError(f"only a file goes into {there} in {guest.name}", "to copy what a link leads to: -L")
    there = _resolved(guest, there)
    return os.path.dirname(there) or "/", os.path.basename(there)


def _resolved(guest: Guest, path: str) -> str:
    first = path
    for _ in range(_MAX_LINKS):
        if path.startswith(_OWN_OF_INIT):
            raise InfernoError(
                f"{printable(first)} in {guest.name} leads to a descriptor of the process that opens it",
                "name the file itself",
            )
        found = _stat(guest, path, follow=False)
        if found is None or found["kind"] != "link":
            return path
        path = destination.without_end(os.path.join(os.path.dirname(path), found["link"]))
    raise InfernoError(f"{printable(first)} in {guest.name} is a link without end")


def _stat(guest: Guest, path: str, *, follow: bool) -> dict[str, Any] | None:
    """kind, and link, of what is at a path in the guest; None when nothing is."""
    answer = vsock.request(guest.root, "GET", _STAT, {"path": path, "follow": follow}, timeout_s=_ANSWER_S)
    found = answer.get("found") if isinstance(answer, dict) else answer
    if found is None and isinstance(answer, dict):
        return None
    if not isinstance(found, dict) or found.get("kind") not in _KINDS:
        raise InfernoError(f"the guest answered GET {_STAT} with something else than init does")
    if found["kind"] == "link" and not isinstance(found.get("link"), str):
        raise InfernoError(f"the guest answered GET {_STAT} with something else than init does")
    return found
