"""Progress of long work on standard error: one line that moves on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import os
import sys
import time

from inferno.visible import visible

_REDRAW_S = 0.1


class Show:
    """An inferno.log.Progress for people. What is counted is bytes, or lines of a compiler, which never are a MiB."""

    def __init__(self) -> None:
        self._stage = ""
        self._drawn = 0.0
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.quiet = False

    def __call__(self, what: str, done: int | None = None, total: int | None = None) -> None:
        now = time.monotonic()
        if self.quiet:
            return
        what = visible(what)
        if self._terminal:
            if now - self._drawn >= _REDRAW_S or (total is not None and done == total):
                line = f"   {what}{_share(done, total)}"[: _columns() - 1]  # a line that wraps cannot be taken back
                print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
                self._drawn = now
        elif what != self._stage:
            print(f"   {what}", file=sys.stderr, flush=True)
        self._stage = what

    def close(self) -> None:
        """Clear the moving line."""
        if self._terminal and self._stage:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._stage = ""


def _share(done: int | None, total: int | None) -> str:
    if done is None or done < 1 << 20:
        return ""
    return f" {done >> 20} of {total >> 20} MiB" if total else f" {done >> 20} MiB"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
