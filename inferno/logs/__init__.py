"""What VMs said: the logs that the collector writes, read from the end, in full, or as they grow."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from inferno.collector import chain
from inferno.logs.read import backwards
from inferno.logs.record import parse
from inferno.paths import Paths


def end(paths: Paths, name: str) -> int:
    """Where the VM's log ends now: a position that only grows, rotation or not; 0 without a log."""
    return end_of(paths.log(name))


def end_of(log: Path) -> int:
    """The same for any log."""
    number, file = chain.latest(log)
    if file is None:
        return chain.join(number, 0)
    with file:
        return chain.join(number, os.fstat(file.fileno()).st_size)


def tail(paths: Paths, name: str, n: int, since: int = 0) -> list[str]:
    """The last `n` lines of a VM after a position, as text for people, safe on a terminal."""
    records = [parse(line) for line in itertools.islice(backwards(paths.log(name), since), n)]
    return [f"{record.source}: {record.text()}" for record in reversed(records)]
