"""The cache shared by all checkouts of a user, ~/.cache/inferno: what was fetched or took long to build.

It may be deleted at any time. What is in it is known by its content or by the digest of all its inputs, so it
is never stale; what carries a pinned sha256 is hashed again each time it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from inferno.base import files


def directory(environ: Mapping[str, str] | None = None) -> Path:
    """XDG_CACHE_HOME/inferno, or ~/.cache/inferno."""
    env = os.environ if environ is None else environ
    return Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "/root", ".cache"), "inferno").absolute()


def take(cache: Path, sha256: str, target: Path, mode: int) -> bool:
    """Make `target` a copy of the cached file with this digest; return False where there is none.

    The copy is hashed, not the file, which its owner may write to between a look and the use. One whose content
    changed is removed.
    """
    path = cache / "sha256" / sha256
    try:
        install(path, target, mode)
    except OSError:
        return False
    if files.sha256(target) == sha256:
        return True
    target.unlink()
    path.unlink(missing_ok=True)
    return False


def store(cache: Path, source: Path, sha256: str) -> None:
    """Copy `source`, whose content has this digest (the caller checked), into the cache."""
    install(source, cache / "sha256" / sha256, 0o644)


def install(source: Path, target: Path, mode: int) -> None:
    """Make `target` a copy of `source`, atomically, by a temporary file beside it and a rename.

    What killed installs of `target` left is removed. Raises OSError, also where `source` is not a regular file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(target)
    handle, name = _new(target)
    try:
        with os.fdopen(handle, "wb") as copy, os.fdopen(files.open_regular(source), "rb") as original:
            shutil.copyfileobj(original, copy, 1 << 20)
            os.fchmod(copy.fileno(), mode)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _new(target: Path) -> tuple[int, str]:
    """A temporary file beside `target`, open and locked, and its name."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(name):  # else somebody took it for left, between the two
                return handle, name
        os.close(handle)


def _remove_left(target: Path) -> None:
    """Remove the temporary files of installs that were killed: those that nobody holds locked."""
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)
            finally:
                os.close(handle)
