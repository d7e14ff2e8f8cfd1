"""Programs of this machine, and what the rig says to people."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class RigError(Exception):
    """The rig cannot do what was asked; the text is for people."""


def say(text: str) -> None:
    print(f"rig: {text}", file=sys.stderr, flush=True)


def command(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program of this machine and return its output. Raises RigError with all that it said."""
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=cwd, env=env
        )
    except FileNotFoundError:
        raise missing(words[0]) from None
    if done.returncode:
        raise RigError(f"{' '.join(words)[:400]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def missing(name: str) -> RigError:
    """The error for a program that is not there."""
    return RigError(f"{name} is not installed; tools/setup-rig installs what the rig needs")
