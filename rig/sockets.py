"""Names of UNIX sockets in folders with a long path: sockaddr_un has room for 107 bytes of it (unix(7))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that listens at `path`, in place of what may be there, until the end of the `with`."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with _short(path) as name:
            listener.bind(name)
        listener.listen(4)
        yield listener


def connected(path: Path) -> socket.socket:
    """A connection to the socket at `path`. Raises OSError when nobody listens there."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short(path) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Another name of the same file, by its open folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
