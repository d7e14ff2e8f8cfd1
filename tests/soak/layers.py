"""Stacks of layers settled into one tree, beside a plain unpacker's; a trial takes milliseconds."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import stacks

NEEDS = "root"


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """An empty folder."""
    with tempfile.TemporaryDirectory(prefix="soak-layers.") as folder:
        yield Path(folder)


def trial(seed: int, folder: Path) -> str:
    """One stack."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        stacks.check(seed, Path(own))
    return "both trees are the same"
