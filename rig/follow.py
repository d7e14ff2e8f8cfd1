"""Run a long program of this machine, and let the progress line say what it does."""

from __future__ import annotations

import collections
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rig.program import RigError, missing
from rig.progress import detail

KEPT_LINES = 40
LINE_LENGTH = 100
NOT_FOUND = 127  # the exit status of setpriv, as of a shell, when the program is missing


def follow(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a program to its end; its last line so far is the detail of this thread's progress.

    Raises RigError with the last KEPT_LINES lines when it fails. The kernel ends the program with the thread that
    waits for it, however that thread ends.
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
                detail(text.strip()[:LINE_LENGTH])
        except BaseException:
            process.terminate()
            raise
    if process.returncode == NOT_FOUND:
        raise missing(words[3])
    if process.returncode:
        raise RigError(f"{' '.join(words[3:])[:400]} ended with {process.returncode}:\n{''.join(kept)}")
