"""What is kept: which logs there are and how large they are, and how one is cleared."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferno.logs import rotation
from inferno.state.paths import Paths


@dataclass(frozen=True, slots=True)
class Kept:
    """One log: its files and their bytes on disk. `vm` is None for the combined one."""

    vm: str | None
    files: int
    bytes: int


def kept(paths: Paths) -> list[Kept]:
    """All logs, by name, the combined one first. Those of VMs that were destroyed (--keep-logs) are among them."""
    try:
        names = {name.split(".log", 1)[0] for name in os.listdir(paths.logs) if ".log" in name and name[0] != "."}
    except FileNotFoundError:
        return []
    combined = paths.combined_log.stem
    vms = sorted(names - {combined})
    return [_kept(paths, None), *(_kept(paths, name) for name in vms)] if names else []


def exists(paths: Paths, name: str) -> bool:
    """Whether there is a log of a VM of this name, known or not."""
    return bool(_files(paths.log(name)))


def clear(log: Path) -> int:
    """Delete all files of a log; return how many. The collector begins a new one with the next line."""
    files = _files(log)
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def _files(log: Path) -> list[Path]:
    return [part.path for part in rotation.rotated(log)] + ([log] if log.exists() else [])


def _kept(paths: Paths, name: str | None) -> Kept:
    files = _files(paths.combined_log if name is None else paths.log(name))
    sizes = []
    for path in files:
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return Kept(name, len(sizes), sum(sizes))
