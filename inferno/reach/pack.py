"""Writes a file or a folder of this host as the archive that init takes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

from inferno.base.errors import InfernoError
from inferno.reach import destination

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

# What is read before its head is written, and the most of a file that says to be empty: in memory until it is sent.
_READ_FIRST_BYTES, _MOST_UNSAID_BYTES = 64 * 1024, 16 << 20


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Tap:
    """Shut by the first error: tarfile writes what it still holds whenever it is closed, or collected."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink

    def write(self, data: bytes) -> int:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.write(data)
            self._sink = sink
        return len(data)


@contextlib.contextmanager
def open_source(path: str) -> Iterator[tuple[BinaryIO | None, bool]]:
    """What is to be sent in place of what is at a path, and whether it is a file.

    What a path such as /dev/stdin or /dev/fd/3 means is read to its end: nobody knows before how much it is.
    """
    number = destination.own_descriptor(path)
    if number is None:
        yield None, os.path.isfile(path) and not os.path.islink(path)
        return
    import shutil  # 10 ms
    import tempfile

    try:
        with tempfile.TemporaryFile() as spool, open(os.dup(number), "rb") as given:
            shutil.copyfileobj(given, spool)
            spool.seek(0)
            yield spool, True
    except OSError as error:
        raise InfernoError(f"{path}: {error.strerror or error}") from None


def pack(sink: Sink, source: str, name: str | None, *, keep: bool, content: BinaryIO | None = None) -> list[str]:
    """`source`, called `name`, with all below it; `name` None: what is in that folder. Links are sent as such.

    With `keep`, owners are the files' own, else root. `content` is sent as one file instead. Returns the paths of
    sockets, which no archive holds. Raises InfernoError for what cannot be read.
    """
    import tarfile  # 20 ms

    sockets: list[str] = []
    try:
        with tarfile.open(fileobj=_Tap(sink), mode="w|", bufsize=1 << 16, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  # it only writes
            if content is not None:
                entry = archive.gettarinfo(arcname=name, fileobj=content)
                archive.addfile(_dressed(entry, keep=keep), content)
                return []
            waiting = [(source, name)] if name is not None else _children(source, "")
            while waiting:
                path, called = waiting.pop()
                entry = archive.gettarinfo(path, called)
                if entry is None:  # a socket
                    sockets.append(path)
                    continue
                _add(archive, path, _dressed(entry, keep=keep))
                if entry.isdir():
                    waiting += _children(path, f"{called}/")
    except OSError as error:
        raise InfernoError(f"{error.filename or source}: {error.strerror or error}") from None
    return sockets


def _dressed(entry: TarInfo, *, keep: bool) -> TarInfo:
    entry.mtime = int(entry.mtime)  # a fraction takes records of its own
    entry.uname = entry.gname = ""
    if not keep:
        entry.uid = entry.gid = 0
    return entry


def _add(archive: TarFile, path: str, entry: TarInfo) -> None:
    """A small file is read first: those of /proc say to have nothing, those of /sys 4096 bytes.

    Raises OSError, also for a large one that shrinks meanwhile.
    """
    if not entry.isreg():
        archive.addfile(entry)
        return
    # Not to be stuck when somebody puts a named pipe in its place.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        if entry.size > _READ_FIRST_BYTES:
            archive.addfile(entry, file)
            return
        most = (entry.size and _READ_FIRST_BYTES) or _MOST_UNSAID_BYTES
        data = b""
        # In pieces: sysctls have no memory for a read of megabytes.
        while len(data) <= most and (more := file.read(_READ_FIRST_BYTES)) != b"":
            if more is None:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
            data += more
    if len(data) > most and not entry.size:
        raise OSError(0, f"it says that it is empty, and has more than {most} bytes", path)
    entry.size = len(data) if entry.size == 0 else min(len(data), most)
    archive.addfile(entry, io.BytesIO(data))


def _children(folder: str, above: str) -> list[tuple[str, str | None]]:
    """Path and name of each, the last first."""
    return [(os.path.join(folder, name), f"{above}{name}") for name in sorted(os.listdir(folder), reverse=True)]
