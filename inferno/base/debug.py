"""What a command runs and decides, for those who asked to be told: LOG_LEVEL=debug. Nobody is told anything else here.

Which programs are run, with all their arguments, is told by base/processes.py; what else is worth telling, by who
decides it. `tell` is replaced once, by the command that talks to people; until then this costs a comparison.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

tell: Callable[[str], None] | None = None


def say(what: str) -> None:
    """Tell of one decision: one line, in which nothing is secret."""
    if tell is not None:
        tell(what)


def command(verb: str, argv: Sequence[str | os.PathLike[str]]) -> None:
    """Tell of a program that is run: its command line as one could paste it, but for what is secret."""
    if tell is not None:
        import shlex

        tell(f"{verb}: {without_secrets(shlex.join(os.fspath(word) for word in argv))}")


def without_secrets(line: str) -> str:
    """A command line without the values of options about secrets, and without a user and password in a URL.

    No program of ours is given a secret this way today; this is for the day when one is.
    """
    import re

    line = re.sub(r"(?<=://)[^/@\s]+@", "…@", line)
    return re.sub(r"(--?[a-z-]*(?:creds|password|passwd|token|secret)(?:=|\s+))('[^']*'|\S+)", r"\1…", line)
