"""Whether root may run, or write into, what lies at a path: who could put something else there.

A path is as trustworthy as the least trustworthy folder on the way to it. Each folder, and each link, has to belong to
a user who is trusted, and nobody else may write there; in a folder that all may write to and that is sticky, as /tmp,
nobody can exchange what belongs to somebody else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from inferno.base.errors import UsageError

ROOT = 0
_MAX_LINKS = 40  # MAXSYMLINKS: include/linux/namei.h
# useradd gives people the ids from here; 65534 is nobody, whose files belong to all.
_FIRST_PERSON, _NOBODY = 1000, 65534
_EVERYBODY, _GROUP = 0o002, 0o020


def check(paths: Iterable[Path], uids: frozenset[int]) -> None:
    """Raise UsageError, which names the folder, the owner and what to do, unless all paths are in the hands of `uids`.

    What is not there yet is judged by the folders that are. `paths` are absolute.
    """
    known: set[str] = set()
    for path in paths:
        _check(path, uids, known)


def _check(path: Path, uids: frozenset[int], known: set[str]) -> None:
    here, names, links = "/", [*reversed(path.parts[1:])], 0
    while names:
        name = names.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, name)
        try:
            info = os.lstat(step)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISLNK(info.st_mode):
            _check_owner(step, info, uids)
            target = Path(os.readlink(step))
            links += 1
            if links > _MAX_LINKS:
                raise UsageError(f"{path} leads through too many links", "name the folder itself")
            here = "/" if target.is_absolute() else here
            names += reversed(target.parts[target.is_absolute() :])
            continue
        if step not in known or not names:
            _check_owner(step, info, uids)
            _check_writers(step, info, is_last=not names)
            known.add(step)
        here = step


def _check_owner(step: str, info: os.stat_result, uids: frozenset[int]) -> None:
    if info.st_uid in uids:
        return
    hint = f"chown root: {step}"
    if info.st_uid >= _FIRST_PERSON and info.st_uid != _NOBODY:
        hint += (
            "; or, if that user may do all that root may:"
            f" install -d /etc/inferno; echo INFERNO_TRUST_UID={info.st_uid} >> /etc/inferno/env"
        )
    raise UsageError(f"{step} belongs to uid {info.st_uid}, and root would run or keep what is in it", hint)


def _check_writers(step: str, info: os.stat_result, *, is_last: bool) -> None:
    # A group of root's, or the group that many systems give to each user alone, adds nobody.
    by_group = info.st_mode & _GROUP and info.st_gid not in (ROOT, info.st_uid)
    if not (by_group or info.st_mode & _EVERYBODY):
        return
    if stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX and not is_last:
        return
    raise UsageError(f"others than its owner may write to {step}, which root would trust", f"chmod go-w {step}")
