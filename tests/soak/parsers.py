"""Bytes by chance against each parser of the host's that reads what an image, a guest, a user or a program wrote.

Each trial tries 2000 inputs on one of those in tests/parsers.py, in a process with a limit of memory, and of processor
time for each input. An input that fails stays in fuzz/artifacts.
"""

from __future__ import annotations

import contextlib
import random

from tests import mutation, parsers

INPUTS = 2000
NEEDS = "root"

place = contextlib.nullcontext


def trial(seed: int, _: None) -> str:
    """One parser. Raises AssertionError with how it ended."""
    name = random.Random(seed).choice(sorted(parsers.PARSERS))
    tried, lines, known = mutation.run(name, seed, INPUTS)
    return f"{name}: {tried} inputs ran {lines} lines, {known} of them a new one"
