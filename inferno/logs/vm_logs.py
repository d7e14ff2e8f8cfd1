"""What VMs said: the logs that the collector writes, read from the end, in full, or as they grow."""

from __future__ import annotations

import itertools
from pathlib import Path

from inferno.logs import read
from inferno.logs.follow import End, Follower
from inferno.logs.log_record import parse
from inferno.state.paths import Paths


def of(paths: Paths, name: str | None) -> Path:
    """The log of one VM, or of all."""
    return paths.combined_log if name is None else paths.log(name)


def end(paths: Paths, name: str) -> int:
    """Where the VM's log ends now: a position that only grows, rotation or not; 0 without a log."""
    return read.end(paths.log(name))


def tail(paths: Paths, name: str, n: int, since: int = 0) -> list[str]:
    """The last `n` lines of a VM after a position, as text for people, safe on a terminal."""
    records = [parse(line) for line in itertools.islice(read.backwards(paths.log(name), since), n)]
    return [f"{record.source}: {record.text()}" for record in reversed(records)]


def follow(
    paths: Paths, name: str | None, since: int | None = None, end: End | None = None, *, until: float | None = None
) -> Follower:
    """The records of a VM's log, or of all VMs', after `since` as they are written; without `since` from now on.

    With `until`, in seconds since 1970, the iteration stops at that time; records of later ones may be among the last.
    With `end` it stops once that says that the VM ended, and all that the VM sent was handed out. A signal
    handler that does not raise may run at any time; one that raises (KeyboardInterrupt) ends the wait, and iterating
    may go on with the same object.
    """
    log = of(paths, name)
    return Follower(paths, log, read.end(log) if since is None else since, end, until)
