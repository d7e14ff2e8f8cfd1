"""Garbage is looked for seldom in what ends soon: most of what modules make while they are loaded stays."""

from __future__ import annotations

import atexit
import functools
import gc

# The collector looked 46 times among the 21,000 objects of a short command, and freed 480.
_COLLECT_AFTER = 50_000


@functools.cache  # infernoctl says it, and doit, which it may run
def seldom() -> None:
    """From now on, and not at all when the process ends: its last look was a sixth of a short command."""
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)
