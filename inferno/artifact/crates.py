"""What our two Rust programs are made from. It is looked at by each create, so no process is started for that, and no
more is loaded than a walk through a folder needs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from inferno.base import processes


def sources(crate: str, checkout: Path) -> list[Path]:
    """Every file of the checkout that the crate's binary is made from, sorted: manifests, lock, sources."""
    fixed = (
        checkout / "Cargo.toml",
        checkout / "Cargo.lock",
        checkout / "rust-toolchain.toml",
        checkout / crate / "Cargo.toml",
        checkout / crate / "build.rs",
    )
    found = [os.fspath(path) for path in fixed if path.is_file()]
    for folder, _, names in os.walk(checkout / crate / "src"):
        found += [path for path in (f"{folder}/{name}" for name in names) if os.path.isfile(path)]
    return [Path(path) for path in sorted(found, key=lambda path: path.split("/"))]


def toolchain_files() -> list[Path]:
    """Small files that change when the compiler does: rustup's own records, or the distribution's cargo."""
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    records = [rustup / "settings.toml", *sorted(rustup.glob("update-hashes/*"))]
    program = shutil.which("cargo", path=processes.clean_env()["PATH"])
    if program is None:
        return []
    real = Path(program).resolve()
    return [p for p in records if p.is_file()] if real.name == "rustup" else [real]


def digest(paths: Iterable[Path], checkout: Path) -> str:
    """One digest of names and contents, in this order; the checkout's own place does not count."""
    whole, here = hashlib.sha256(), f"{checkout}/"
    for path in paths:
        text = str(path)
        name = text.removeprefix(here) if text.startswith(here) else path.name
        # All are small, and there are a hundred: neither files.sha256, which clears a buffer of 256 KiB for each, nor
        # Python's own buffer is worth its price.
        with open(text, "rb", buffering=0) as file:
            whole.update(f"{name}\0{hashlib.sha256(file.read()).hexdigest()}\n".encode())
    return whole.hexdigest()
