"""What Inferno says to a person, on standard error: one line, a hint, no traceback."""

from __future__ import annotations

import sys

from inferno.errors import InfernoError
from inferno.visible import visible


def say(text: str) -> None:
    """One line for a person. A closed standard error is no reason to fail."""
    try:
        print("\n".join(map(visible, text.split("\n"))), file=sys.__stderr__, flush=True)
    except (BrokenPipeError, ValueError):
        return


def report(error: InfernoError, where: str | None = None) -> None:
    """An expected failure: what details there are, one line, and the hint."""
    for line in getattr(error, "details", ()):
        say(f"  | {line}")
    say(f"error: {where}: {error.text}" if where else f"error: {error.text}")
    if error.hint:
        say(f"hint: {error.hint}")
