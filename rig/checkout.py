"""The checkout as a disk: tracked and new files and artifacts/, packed outside, with their byte code.

The disk of an unchanged checkout is used again, by any number of rigs: it is read-only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from rig.cache import CACHE, CHECKOUT, digest, digest_of_files, locked
from rig.program import command
from rig.system import make_disk

# Disks are exchanged under a rig that knows their size: it never changes.
CHECKOUT_BYTES, EXTRA_BYTES = 2 << 30, 4 << 30
PACKAGES = ("inferno", "tasks", "tests")
KEPT = 4


def pack(disk: Path, system: Path) -> None:
    """Make `disk` hold the checkout as it is now. Raises RigError."""
    with locked("checkout"):
        names = _names()
        made = CACHE / f"checkout-{_key(names, system)}.ext4"
        if not made.exists():
            _make(made, names, system)
            _remove_old()
        os.utime(made)
        os.link(made, disk)


def pack_extra(disk: Path, content: Path) -> None:
    """Make `disk` hold a folder's content, or one file. Raises RigError."""
    if content.is_dir():
        make_disk(disk, EXTRA_BYTES, content, "-O", "^has_journal")
        return
    stage = disk.with_suffix(".stage")
    _place(content, stage / content.name)
    make_disk(disk, EXTRA_BYTES, stage, "-O", "^has_journal")
    shutil.rmtree(stage)


def _names() -> list[str]:
    listed = command(
        "git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z", "-co", "--exclude-standard", cwd=CHECKOUT
    )
    artifacts = [str(p.relative_to(CHECKOUT)) for p in (CHECKOUT / "artifacts").rglob("*")]
    names = {name for name in [*listed.split("\0"), *artifacts] if name}
    return sorted(n for n in names if (CHECKOUT / n).is_symlink() or (CHECKOUT / n).is_file())


def _key(names: list[str], system: Path) -> str:
    parts = [system.name, digest_of_files(Path(__file__))]
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            status = (CHECKOUT / name).lstat()
            parts.append(f"{name} {status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ino}")
    return digest(*parts)


def _make(disk: Path, names: list[str], system: Path) -> None:
    stage = system / "tree/stage"
    shutil.rmtree(stage, ignore_errors=True)
    for name in names:
        _place(CHECKOUT / name, stage / name)
    _compile(system / "tree")
    making = disk.with_suffix(".tmp")
    make_disk(making, CHECKOUT_BYTES, stage, "-O", "^has_journal")
    shutil.rmtree(stage)
    making.rename(disk)


def _place(source: Path, target: Path) -> None:
    """A hard link where it can be one: the stage is read, packed, and removed. Another user's file becomes a copy of
    root's, since root in the rig uses nothing that somebody else may change."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if source.lstat().st_uid == 0:
            with contextlib.suppress(OSError):
                os.link(source, target, follow_symlinks=False)
                return
        shutil.copy2(source, target, follow_symlinks=False)
        os.chown(target, 0, 0, follow_symlinks=False)


def _compile(tree: Path) -> None:
    """By the rig's Python, here: under emulation the first import of everything would take seconds."""
    argv = ["chroot", str(tree), "python3", "-m", "compileall", "-q", "--invalidation-mode", "timestamp"]
    argv += ["-s", "/stage", "-p", "/inferno", *(f"/stage/{name}" for name in PACKAGES)]
    # A file that does not compile is its test's affair: the status says nothing here.
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _remove_old() -> None:
    """Those in use live on by the hard links of their rigs."""
    disks = sorted(CACHE.glob("checkout-*.ext4"), key=lambda path: path.stat().st_mtime, reverse=True)
    for disk in disks[KEPT:]:
        disk.unlink()
    for disk in CACHE.glob("checkout-*.tmp"):
        disk.unlink()
