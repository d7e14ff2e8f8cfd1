"""What the rig keeps between runs: each thing in a folder named by the digest of what went into it, never changed.

A folder appears whole, by a rename. Whoever uses one holds a shared lock on it for as long (QEMU inherits it, so the
kernel frees it with the last user, however that ends). One that nobody uses or used for a week goes when its
successor has been made.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rig.progress import Progress

CHECKOUT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferno" / "rig"
KEPT_S = 7 * 86400


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def digest_of_files(*roots: Path) -> str:
    """Of the names, executable bits and contents of files and of all files in folders."""
    parts = []
    for root in roots:
        for path in [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file()):
            if path.suffix != ".pyc":
                parts += [str(path.relative_to(root.parent)), str(path.stat().st_mode & 0o100), path.read_text()]
    return digest(*parts)


def digest_of_code(*modules: Path) -> str:
    """Of what Python modules do: imports, docstrings, comments and layout do not count."""
    return digest(*(part for path in modules for part in (path.name, _code(path.read_text()))))


def _code(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_silent(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_silent(node: ast.stmt) -> bool:
    """Whether the statement is an import, or a string that stands alone."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One at a time on this machine; the kernel frees the lock when its holder ends."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def hold(folder: Path, *, alone: bool = False) -> IO[str] | None:
    """Lock a folder as one of its users, or `alone`; None when it is locked against that. Closing it frees it."""
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def cached(kind: str, key: str, what: str, build: Callable[[Path], None]) -> Path:
    """The folder of `kind` for `key`; when it is not there yet, built beside itself, then renamed."""
    folder = CACHE / f"{kind}-{key}"
    if not folder.exists():
        with locked(f"build-{kind}"):
            if not folder.exists():
                _make(folder, what, build)
                _remove_unused(kind, but=folder)
    os.utime(folder)
    return folder


def _make(folder: Path, what: str, build: Callable[[Path], None]) -> None:
    making = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    with Progress(what):
        build(making)
        (making / "lock").touch()
        making.rename(folder)


def _remove_unused(kind: str, *, but: Path) -> None:
    """Under the build lock: folders that a killed build left, and those that nobody used for long."""
    ours = re.compile(re.escape(kind) + r"-[0-9a-f]{20}(\.tmp)?")
    for folder in CACHE.glob(f"{kind}-*"):
        if folder == but or not ours.fullmatch(folder.name):
            continue
        if folder.suffix != ".tmp":
            if time.time() - folder.stat().st_mtime < KEPT_S:
                continue
            free = hold(folder, alone=True)
            if free is None:
                continue
            free.close()
        shutil.rmtree(folder, ignore_errors=True)
