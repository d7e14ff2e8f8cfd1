"""What Inferno says to a person, on standard error: one line, a hint, no traceback."""

from __future__ import annotations

import sys

from inferno.base.errors import InfernoError
from inferno.base.text import visible

_LONGEST_CHARS = 4000


def say(text: str) -> None:
    """One line for a person. It is dropped where standard error is closed."""
    try:
        lines = "\n".join(map(visible, text.split("\n")))
        print(f"{lines}\n", end="", file=sys.__stderr__, flush=True)  # in one piece: other threads may speak too
    except (BrokenPipeError, ValueError):
        return


def _line(text: str) -> str:
    """One line, of a bounded length: it may quote what another program or a guest wrote."""
    return visible(text if len(text) <= _LONGEST_CHARS else f"{text[:_LONGEST_CHARS]}…")


def report(error: InfernoError, where: str | None = None) -> None:
    """An expected failure: what details there are, one line, and the hint."""
    for line in getattr(error, "details", ()):
        say(_line(f"  | {line}"))
    say(_line(f"error: {where}: {error.text}" if where else f"error: {error.text}"))
    if error.hint:
        say(_line(f"hint: {error.hint}"))
