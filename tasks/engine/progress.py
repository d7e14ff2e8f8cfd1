"""Progress of long work on standard error: one line that moves on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import sys
import time

from inferno.visible import visible

_REDRAW_S = 0.1


class Show:
    """An inferno.log.Progress for people. What is counted here is bytes, everywhere."""

    def __init__(self) -> None:
        self._stage = ""
        self._drawn = 0.0
        self._terminal = sys.stderr.isatty()
        self.quiet = False

    def __call__(self, what: str, done: int | None = None, total: int | None = None) -> None:
        now = time.monotonic()
        if self.quiet:
            return
        what = visible(what)
        if self._terminal:
            if now - self._drawn >= _REDRAW_S or (total is not None and done == total):
                share = f" {done >> 20} of {total >> 20} MiB" if done is not None and total else ""
                print(f"\r\033[K   {what}{share}"[:200], end="", file=sys.stderr, flush=True)
                self._drawn = now
        elif what != self._stage:
            print(f"   {what}", file=sys.stderr, flush=True)
        self._stage = what

    def close(self) -> None:
        """Clear the moving line."""
        if self._terminal and self._stage:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._stage = ""
