"""Stacks of layers made into bases that are mounted here, beside what a plain unpacker and umoci make of them.

umoci judges where it is installed, and a Docker Engine where DOCKER_HOST names one with the storage driver vfs; where
they are not taken at their word, and why, is a table in tests/stack_judges.py.
"""

from __future__ import annotations

import contextlib
import os
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
    has_umoci, has_docker = shutil.which("umoci") is not None, "DOCKER_HOST" in os.environ
    with tempfile.TemporaryDirectory(dir=folder) as own:
        refused = stack_judges.check(seed, Path(own), with_umoci=has_umoci, with_docker=has_docker)
    judges = ["the plain unpacker", *(["umoci"] if has_umoci else []), *(["Docker"] if has_docker else [])]
    said = f" (refused: {', '.join(refused)})" if refused else ""
    return f"the same by {', '.join(judges)}{said}"
