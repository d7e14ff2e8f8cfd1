"""Progress of long work on standard error: one line that moves on a terminal, a line now and then elsewhere.

Elsewhere means a file, a pipe or a dumb terminal: a new stage is one line, and a stage that goes on says so every
minute. Who reports long work calls every few seconds (artifact/follow.py), so a terminal never stands still.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from inferno.base.text import visible

_REDRAW_S = 0.1
_AGAIN_S = 60
# A stage that takes longer than this also shows for how long it has been going on.
_LONG_S = 10


class Show:
    """A base.progress.Progress for people. What is counted is bytes, or lines of a compiler, which never are a MiB.

    `clock` returns seconds; a test hands in its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[int, tuple[str, float]] = {}  # of each thread: what it does, and since when
        self._drawn = 0.0
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.quiet = False

    def __call__(self, what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        if self.quiet:
            return
        now = self._clock()
        thread = threading.get_ident()
        stage, began = self._stages.get(thread, ("", now))
        new = what != stage
        if new:
            began = now
            self._stages[thread] = what, began
        line = f"   {visible(what)}{': ' if detail else ''}{visible(detail)}{_share(done, total)}"
        spent = now - began
        line += f" ({spent // 60:.0f}:{spent % 60:02.0f})" if spent >= _LONG_S else ""
        if self._terminal:
            if now - self._drawn >= _REDRAW_S or (total is not None and done == total):
                # A line that wraps cannot be taken back.
                print(f"\r\033[K{line[: _columns() - 1]}", end="", file=sys.stderr, flush=True)
                self._drawn = now
        elif new or now - self._drawn >= _AGAIN_S:
            print(f"{line}\n", end="", file=sys.stderr, flush=True)
            self._drawn = now

    def close(self) -> None:
        """Clear the moving line. What goes on in another thread is drawn again when that tells of it."""
        if self._terminal and self._stages:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._stages.pop(threading.get_ident(), None)


def _share(done: int | None, total: int | None) -> str:
    if done is None or done < 1 << 20:
        return ""
    return f" {done >> 20} of {total >> 20} MiB" if total else f" {done >> 20} MiB"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
