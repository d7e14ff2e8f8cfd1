"""Says that a command waits for another: a front end puts a function here that shows it."""

from __future__ import annotations

from collections.abc import Callable

tell: Callable[[str], None] | None = None


def say(what: str) -> None:
    """What is waited for, in one line."""
    if tell is not None:
        tell(f"waiting: {what}")
