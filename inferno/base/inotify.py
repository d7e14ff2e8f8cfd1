"""The kernel's word that a file or directory changed: inotify(7), the three calls of it that are needed.

Not inotify_simple: it looks for libc by running ldconfig, which costs each start more than all else it does.
"""

from __future__ import annotations

import os
from pathlib import Path

# include/uapi/linux/inotify.h
MODIFY, ATTRIB, MOVED_TO, CREATE = 0x2, 0x4, 0x80, 0x100
_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK
_EVENTS_BYTES = 64 * 1024


def opened() -> int:
    """A new inotify descriptor, non-blocking. Raises OSError when this user has too many."""
    return _call("inotify_init1", _CLOEXEC_NONBLOCK)


def watch(descriptor: int, path: Path, events: int) -> None:
    """Ask for `events` of what `path` names. Raises OSError."""
    _call("inotify_add_watch", descriptor, os.fsencode(path), events)


def drain(descriptor: int) -> None:
    """Forget the events that are there: what they mean is looked up where it can be relied on."""
    try:
        while os.read(descriptor, _EVENTS_BYTES):
            pass
    except BlockingIOError:
        return


def _call(function: str, *arguments: int | bytes) -> int:
    import ctypes  # most of what imports this module never waits for a file

    result: int = getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
