"""Programs of this machine, and what the rig says to people."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

KEPT_LINES = 40
NOT_FOUND = 127  # of setpriv, as of a shell


class RigError(Exception):
    """The rig cannot do what was asked; the text is for people."""


def say(text: str) -> None:
    print(f"rig: {text}", file=sys.stderr, flush=True)


def follow(
    *argv: str | Path, line: Callable[[str], None], cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a long program, telling `line` each that it prints. Raises RigError with the last lines.

    The kernel ends it with the thread that waits for it, however that ends.
    """
    words = ["setpriv", "--pdeathsig", "TERM", *map(os.fspath, argv)]
    kept: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        env=env,
    ) as process:
        assert process.stdout is not None
        try:
            for text in process.stdout:
                kept.append(text)
                line(text.strip()[:100])
        except BaseException:
            process.terminate()
            raise
    if process.returncode == NOT_FOUND:
        raise _missing(words[3])
    if process.returncode:
        raise RigError(f"{' '.join(words[3:])[:400]} ended with {process.returncode}:\n{''.join(kept)}")


def command(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program of this machine and return its output. Raises RigError with all that it said."""
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=cwd, env=env
        )
    except FileNotFoundError:
        raise _missing(words[0]) from None
    if done.returncode:
        raise RigError(f"{' '.join(words)[:400]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _missing(name: str) -> RigError:
    return RigError(f"{name} is not installed; tools/setup-rig installs what the rig needs")
