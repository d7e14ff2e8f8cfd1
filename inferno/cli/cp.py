"""`infernoctl cp`: files between a VM that runs and this host, or `-` for a tar archive on the standard streams."""

from __future__ import annotations

import os

from inferno.base.errors import UsageError
from inferno.cli.exec_shell import opened
from inferno.console.errors import say
from inferno.console.typed import Typed
from inferno.reach import copy
from inferno.reach.bounds import NONE, STANDARD, Bounds
from inferno.reach.unpack import How

_SHOWN = 5


def cp(typed: Typed) -> int:
    """`cp NAME:PATH PATH|-`, `cp PATH|- NAME:PATH`. Exit 1 also when something in it is not copied."""
    how = How(owners=typed.flag("archive"), follow=typed.flag("follow_link"), set_ids=typed.flag("set_ids"))
    bounds = NONE if typed.flag("no_limits") else STANDARD
    (here, name, path), (there, to_name, to_path) = map(_side, typed.operands)
    if (name is None) == (to_name is None):
        raise UsageError("cp copies between a VM and this host", "one of the two is NAME:PATH")
    if name is not None:
        return _out(name, path, there, how, bounds)
    with opened(to_name or "") as guest:
        if here == "-":
            if os.isatty(0):
                raise UsageError("an archive is not read from a terminal", f"tar -c FILES | infernoctl cp - {there}")
            return copy.archive_into(guest, to_path)
        return _told(copy.into(guest, here, to_path, how, bounds))


def _out(name: str, path: str, there: str, how: How, bounds: Bounds) -> int:
    if there == "-" and os.isatty(1):
        raise UsageError("an archive is not written to a terminal", f"infernoctl cp {name}:{path} - | tar -t")
    with opened(name) as guest:
        if there == "-":
            _told(copy.archive_out(guest, path, follow=how.follow, bounds=bounds))
            return 0  # the archive has all that one can have: so do tar(1) and Docker
        return _told(copy.out(guest, path, there, how, bounds))


def _told(skipped: list[str]) -> int:
    """The exit status."""
    for entry in skipped[:_SHOWN]:
        say(f"not copied, because it is a device, a pipe or a socket: {entry}")
    if skipped[_SHOWN:]:
        say(f"not copied: {len(skipped) - _SHOWN} more")
    return 1 if skipped else 0


def _side(word: str) -> tuple[str, str | None, str]:
    """The word; and the VM's name and its path, when it is of one. A path with a colon is written ./so:and:so."""
    if not word:
        raise UsageError("cp: an empty word names no file", "NAME:PATH, a path of this host, or -")
    name, colon, path = word.partition(":")
    if not colon or word.startswith(("/", ".")):
        return word, None, ""
    if not path:
        raise UsageError(f"{word} has no path", f"{name}:/ is the whole file system")
    return word, name, path
