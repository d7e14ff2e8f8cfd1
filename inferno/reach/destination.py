"""Where a copy goes to on this host, by the rules that `docker cp` has for names: links in them are followed.

What is there and is neither a folder nor a file (a device, a pipe, a descriptor of ours such as /dev/stdout) is
written into, as cp(1) does. Docker refuses these; nobody wants them replaced by a file.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from inferno.base.errors import InfernoError

_MAX_LINKS = 40  # as the kernel: path_resolution(7)
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_OURS = re.compile(r"/(?:dev/fd|proc/(?:self|thread-self)/fd)/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class InFolder:
    """Into the folder at `path`, as `name`; None: as what is in the source."""

    path: str
    name: bytes | None

    def opened(self) -> int:
        """A descriptor of the folder. Raises InfernoError."""
        try:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise InfernoError(f"{self.path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class IntoWhatIsThere:
    """Into a device or a pipe at `path`, or into our own `descriptor`."""

    path: str
    descriptor: int | None = None

    def opened(self) -> int:
        """A descriptor to write to; a pipe that nobody reads is waited for. Raises InfernoError."""
        try:
            if self.descriptor is not None:
                return os.dup(self.descriptor)
            return os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise InfernoError(f"{self.path}: {error.strerror}") from None


Destination = InFolder | IntoWhatIsThere


def of(text: str, name: str, *, contents: bool, is_folder: bool) -> Destination:
    """Of a source that ends with `name`, and is a folder or not; `contents`: what is in it was meant.

    Raises InfernoError for a place where it cannot go.
    """
    if os.path.isdir(text):
        return InFolder(text, None if contents else os.fsencode(name))
    path = without_end(text)
    if text != path and not is_folder and not os.path.lexists(path):
        raise InfernoError(f"there is no folder {path}", "the slash at its end wants one that is there")
    if text != path and os.path.exists(path):
        raise InfernoError(f"{path} is not a folder")
    path, ours = _resolved(path)
    if ours is not None or _takes_bytes(path):
        if is_folder:
            raise InfernoError(f"{text} is not a folder")
        return IntoWhatIsThere(path, ours)
    if is_folder and os.path.lexists(path):
        raise InfernoError(f"{path} is not a folder")
    return InFolder(os.path.dirname(path) or ".", os.fsencode(os.path.basename(path)))


def without_end(path: str) -> str:
    """Without the slashes, and the dots after them, that say at its end that a folder is meant."""
    while path.endswith("/.") or (path.endswith("/") and path != "/"):
        path = path[:-1] if path.endswith("/") else path[:-2] or "/"
    return path


def _resolved(path: str) -> tuple[str, int | None]:
    """What the links at its end lead to, and the descriptor of ours that it names. Raises InfernoError for a circle."""
    first = path
    for _ in range(_MAX_LINKS):
        if (ours := own_descriptor(path)) is not None:
            return path, ours
        try:
            target = os.readlink(path)
        except OSError:
            return path, None
        path = without_end(os.path.join(os.path.dirname(path), target))
    raise InfernoError(f"{first} is a link without end")


def own_descriptor(path: str) -> int | None:
    """The number of our own descriptor that a path names, by whichever of its names."""
    if path in _STANDARD:
        return _STANDARD[path]
    found = _OURS.fullmatch(path)
    return int(found[1]) if found else None


def _takes_bytes(path: str) -> bool:
    """Raises InfernoError for a socket, which no path opens."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    if stat.S_ISSOCK(mode):
        raise InfernoError(f"{path} is a socket", "name a file or a folder")
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode)
