"""Copies between a guest and this host, by the rules that `docker cp` has for names.

A folder that is there is copied into; `/.` at the end of a source means what is in it; a name that is not there becomes
the copy's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from inferno.base.errors import InfernoError, UsageError
from inferno.base.text import printable
from inferno.reach import command, vsock
from inferno.reach.channel import Channel
from inferno.reach.guest import Guest
from inferno.reach.pack import pack
from inferno.reach.relay import Relay
from inferno.reach.unpack import Place, unpack

_FILES, _STAT = "/v1/files", "/v1/stat"
_ANSWER_S = 10.0
_KINDS = ("file", "directory", "link", "other")
_MAX_LINKS = 40  # as the kernel: path_resolution(7)


@dataclass(frozen=True, slots=True)
class Source:
    """A path to copy from, and whether what is in that folder was meant. `name` is how it ends; empty for `/`."""

    path: str
    contents: bool

    @classmethod
    def of(cls, text: str) -> Source:
        """Raises UsageError for one that ends with `..`, whose name nobody knows."""
        path = text
        while path.endswith("/.") or (path.endswith("/") and path != "/"):
            path = path[:-1] if path.endswith("/") else path[:-2] or "/"
        if os.path.basename(path) == "..":
            raise UsageError(f"{text} ends with '..'", "name the folder itself")
        return cls(path, text.endswith("/.") or path in ("/", "."))

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def out(guest: Guest, path: str, destination: str, *, keep: bool, follow: bool) -> list[str]:
    """From the guest to this host; return the names of what is not copied: devices and pipes.

    `keep`: owners and set-ids as in the guest. `follow`: `path` itself may be a link. Raises InfernoError, UsageError.
    """
    source = Source.of(_absolute(path))
    found = _stat(guest, source.path, follow=follow)
    if found is None:
        raise InfernoError(f"there is no {source.path} in {guest.name}")
    if source.contents and found["kind"] != "directory":
        raise InfernoError(f"{source.path} in {guest.name} is not a folder")
    folder, name = _destination(destination, source, is_folder=found["kind"] == "directory")
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InfernoError(f"{folder}: {error.strerror}") from None
    try:
        body = {"path": source.path, "follow": follow}
        stream, received = command.stream(guest.root, "GET", _FILES, body)
        with stream:
            place = Place(descriptor, source.name.encode() or None, name)
            return unpack(Channel(stream, received).read, place, keep=keep)
    finally:
        os.close(descriptor)


def into(guest: Guest, text: str, path: str, *, keep: bool, follow: bool) -> None:
    """From this host to the guest; `keep`: owners as here, else root. Raises InfernoError, UsageError."""
    source = Source.of(text)
    here = os.path.realpath(source.path) if follow or source.contents else source.path
    if not os.path.lexists(here):
        raise InfernoError(f"there is no {source.path} here")
    is_folder = os.path.isdir(here) and not os.path.islink(here)
    if source.contents and not is_folder:
        raise InfernoError(f"{source.path} is not a folder")
    folder, name = _target(guest, _absolute(path), source, is_folder=is_folder)
    stream, received = command.stream(guest.root, "PUT", _FILES, {"path": folder})
    with stream:
        channel = Channel(stream, received)
        pack(channel, here, name, keep=keep)
        channel.finish()


def archive_out(guest: Guest, path: str, *, follow: bool) -> int:
    """The archive itself, on standard output; return the copy's exit status."""
    body = {"path": Source.of(_absolute(path)).path, "follow": follow}
    stream, received = command.stream(guest.root, "GET", _FILES, body)
    with stream:
        return Relay(stream, stdin=None, stdout=1, stderr=2, size=None).run(received).status


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


def _destination(text: str, source: Source, *, is_folder: bool) -> tuple[str, bytes | None]:
    """The folder of this host's to copy into, and what the copy is called there; None: as what is in it."""
    if os.path.isdir(text):
        return text, None if source.contents else os.fsencode(source.name)
    path = text.rstrip("/")
    if os.path.lexists(path):
        if is_folder or text != path:
            raise InfernoError(f"{path} is not a folder")
    elif text != path and not is_folder:
        raise InfernoError(f"there is no folder {path}", "the slash at its end wants one that is there")
    return os.path.dirname(path) or ".", os.fsencode(os.path.basename(path))


def _target(guest: Guest, path: str, source: Source, *, is_folder: bool) -> tuple[str, str | None]:
    """The same for the guest's side. A link at the end is followed, as the kernel would."""
    found = _stat(guest, path, follow=True)
    if found is not None and found["kind"] == "directory":
        return path, None if source.contents else os.path.basename(os.path.abspath(source.path))
    if found is None and path.endswith("/") and not is_folder:
        raise InfernoError(f"there is no folder {path} in {guest.name}", "the slash at its end wants one that is there")
    path = path.rstrip("/")
    if found is not None:
        if is_folder:
            raise InfernoError(f"{path} in {guest.name} is not a folder")
        path = _resolved(guest, path)
    return os.path.dirname(path) or "/", os.path.basename(path)


def _resolved(guest: Guest, path: str) -> str:
    for _ in range(_MAX_LINKS):
        found = _stat(guest, path, follow=False)
        if found is None or found["kind"] != "link":
            return path
        path = os.path.join(os.path.dirname(path), found["link"])
    raise InfernoError(f"{printable(path)} in {guest.name} is a link without end")


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
