"""What our two Rust programs are made from. It is looked at by each create, so no process is started for that, and no
more is loaded than a walk through a folder needs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from inferno.base import files, processes


def sources(crate: str, checkout: Path) -> list[str]:
    """Every file of the checkout that the crate's binary is made from, sorted: manifests, lock, sources."""
    fixed = ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", f"{crate}/Cargo.toml", f"{crate}/build.rs")
    found = [path for path in (f"{checkout}/{name}" for name in fixed) if os.path.isfile(path)]
    found += _below(f"{checkout}/{crate}/src")
    return sorted(found, key=lambda path: path.split("/"))


def _below(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
            elif entry.is_file():
                yield entry.path


def toolchain_files() -> list[str]:
    """Small files that change when the compiler does: rustup's own records, or the distribution's cargo."""
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    records = [rustup / "settings.toml", *sorted(rustup.glob("update-hashes/*"))]
    program = shutil.which("cargo", path=processes.clean_env()["PATH"])
    if program is None:
        return []
    real = Path(program).resolve()
    found = [path for path in records if path.is_file()] if real.name == "rustup" else [real]
    return [str(path) for path in sorted(found)]


def identities(paths: Iterable[str]) -> str:
    """One digest of what the file system says of files: while it is the same, none of them has changed."""
    return hashlib.sha256(repr([(path, files.identity_if_there(path)) for path in paths]).encode()).hexdigest()


def digest(paths: Iterable[str], checkout: Path) -> str:
    """One digest of names and contents, in this order; the checkout's own place does not count."""
    whole, here = hashlib.sha256(), f"{checkout}/"
    for path in paths:
        name = path.removeprefix(here) if path.startswith(here) else os.path.basename(path)
        # All are small, and there are a hundred: neither files.sha256, which clears a buffer of 256 KiB for each, nor
        # Python's own buffer is worth its price.
        with open(path, "rb", buffering=0) as file:
            whole.update(f"{name}\0{hashlib.sha256(file.read()).hexdigest()}\n".encode())
    return whole.hexdigest()
