"""What each command that changes something does first: it looks whose the places are that root trusts, and closes
INFERNO_ROOT to others.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import inferno
from inferno.base import trusted
from inferno.base.errors import InfernoError
from inferno.settings import Settings
from inferno.state.paths import Paths

_OPEN = 0o077
# What Inferno itself makes in INFERNO_ROOT. A folder that holds anything else may be somebody's whole disk.
_OURS = (
    r"(?:images|store|vms|versions|locks|logs|run|lost\+found)|digest\.key|ruleset\.nft"
    r"|(?:inferno|tasks)\.db.*|\..*\.tmp"
)


def prepare(settings: Settings) -> None:
    """To be called before anything is changed. Only root has something to lose by other people's folders.

    Raises UsageError where somebody else could exchange what root runs or keeps.
    """
    if os.geteuid() == trusted.ROOT:
        check(settings)
    _close(settings.root)


def check(settings: Settings) -> None:
    """Raise UsageError unless INFERNO_ROOT, the artifacts, the database, the programs that are set, and Inferno's own
    packages are root's, or the trusted user's, with all folders on the way."""
    trusted.check(_places(settings), uids(settings))


def check_program(settings: Settings, path: Path) -> None:
    """Raise UsageError where root is about to run a file of somebody it does not trust, or from such a folder."""
    if os.geteuid() == trusted.ROOT:
        trusted.check([path.parent, path], uids(settings))


def uids(settings: Settings) -> frozenset[int]:
    """The users whose files root trusts."""
    return frozenset({trusted.ROOT} if settings.trust_uid is None else {trusted.ROOT, settings.trust_uid})


def check_closed(settings: Settings) -> None:
    """Raise InfernoError where others than its owner get into INFERNO_ROOT."""
    try:
        mode = stat.S_IMODE(settings.root.stat().st_mode)
    except FileNotFoundError:
        return
    if mode & _OPEN:
        raise InfernoError(
            f"{settings.root} is open to other users (mode {mode:04o}): names, logs and images of VMs are seen",
            f"chmod 0700 {settings.root}",
        )


def _places(settings: Settings) -> Iterator[Path]:
    yield from (settings.root, settings.db_path.parent, settings.share_dir)
    yield from (path for path in (settings.firecracker, settings.jailer) if path)
    yield from (Path(inferno.__file__).resolve().parent, Path(sys.prefix))
    paths = Paths(settings.root)
    yield from (paths.versions, paths.store, settings.db_path)
    for folder in (settings.share_dir, settings.share_dir / "tools"):
        if folder.is_dir():
            yield from (folder / name for name in os.listdir(folder))


def _close(root: Path) -> None:
    """Make the folder with mode 0700, or give it that, unless it holds what is not ours."""
    root.parent.mkdir(parents=True, exist_ok=True)
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:
        info = root.stat()
        if info.st_mode & _OPEN and info.st_uid == os.geteuid() and _holds_only_ours(root):
            root.chmod(stat.S_IMODE(info.st_mode) & ~_OPEN)


def _holds_only_ours(root: Path) -> bool:
    return all(re.fullmatch(_OURS, name) for name in os.listdir(root))
