"""Writes a file or a folder of this host as the archive that init takes."""

from __future__ import annotations

import os
from typing import Protocol

from inferno.base.errors import InfernoError


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


def pack(sink: Sink, source: str, name: str | None, *, keep: bool) -> None:
    """`source`, called `name`, with all below it; `name` None: what is in that folder. Links are sent as such.

    With `keep`, owners are the files' own, else root. Raises InfernoError for what cannot be read.
    """
    import tarfile  # 20 ms

    def dressed(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = int(entry.mtime)  # a fraction takes records of its own
        entry.uname = entry.gname = ""
        if not keep:
            entry.uid = entry.gid = 0
        return entry

    try:
        with tarfile.open(fileobj=_Tap(sink), mode="w|", bufsize=1 << 16, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  # it only writes
            for path, called in [(source, name)] if name is not None else _children(source):
                archive.add(path, called, filter=dressed)
    except OSError as error:
        raise InfernoError(f"{error.filename or source}: {error.strerror or error}") from None


def _children(folder: str) -> list[tuple[str, str]]:
    return [(os.path.join(folder, name), name) for name in sorted(os.listdir(folder))]
