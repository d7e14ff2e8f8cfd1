"""The cache shared by all checkouts of a user, ~/.cache/inferno: what was fetched or took long to build.

It may be deleted at any time. What is in it is known by its content or by the digest of all its inputs, so it
is never stale; what carries a pinned sha256 is hashed again each time it is used.
"""

from __future__ import annotations

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


def stored(cache: Path, sha256: str) -> Path | None:
    """The cached file whose content has this digest, or None. One whose content changed is removed."""
    path = cache / "sha256" / sha256
    if not path.is_file():
        return None
    if files.sha256(path) == sha256:
        return path
    path.unlink(missing_ok=True)
    return None


def store(cache: Path, source: Path, sha256: str) -> Path:
    """Copy `source`, whose content has this digest (the caller checked), into the cache; return it there."""
    target = cache / "sha256" / sha256
    install(source, target, 0o644)
    return target


def install(source: Path, target: Path, mode: int) -> None:
    """Make `target` a copy of `source`, atomically, by a temporary file beside it and a rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy, 1 << 20)
            os.fchmod(copy.fileno(), mode)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
