"""Stacks of layers made into bases that are mounted here, beside what a plain unpacker and umoci make of them.

umoci judges where it is installed; where it is not taken at its word, and why, is a table in tests/stack_judges.py.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import stack_judges
from tests.soak.sitting import PlaceError

NEEDS = "root"


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """An empty folder."""
    if lacks := stack_judges.lacking():
        raise PlaceError(lacks)
    with tempfile.TemporaryDirectory(prefix="soak-layers.") as folder:
        yield Path(folder)


def trial(seed: int, folder: Path) -> str:
    """One stack."""
    has_umoci = shutil.which("umoci") is not None
    with tempfile.TemporaryDirectory(dir=folder) as own:
        exception = stack_judges.check(seed, Path(own), with_umoci=has_umoci)
    judges = "the plain unpacker and umoci" if has_umoci and not exception else "the plain unpacker"
    return f"the same by {judges}{f' (umoci: {exception})' if exception else ''}"
