"""Long builds say what they do just now: every ten seconds on a terminal, every minute elsewhere.

    with Progress("QEMU"):
        follow("ninja", cwd=tree)

A thread of its own says the lines, so they also come while a program is silent.
"""

from __future__ import annotations

import sys
import threading
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol

from rig.program import say

TERMINAL_S, ELSEWHERE_S = 10, 60
_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


def detail(text: str) -> None:
    """Say what the build of this thread does now, if one is under way."""
    if progress := _current.get():
        progress.detail = text


class Event(Protocol):
    """What of threading.Event is used; a test hands in one that does not wait."""

    def wait(self, timeout: float | None = None) -> bool: ...
    def set(self) -> None: ...


class Progress:
    """One long build, named by `what`. `interval_s` is the time between two lines; None chooses by standard error."""

    def __init__(self, what: str, interval_s: float | None = None, ended: Event | None = None) -> None:
        self._what, self.detail = what, ""
        self._interval_s = interval_s or (TERMINAL_S if sys.stderr.isatty() else ELSEWHERE_S)
        self._ended = ended or threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> Progress:
        say(f"making {self._what}")
        self._token = _current.set(self)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        self._ended.set()
        self._thread.join()
        if error is None:
            say(f"made {self._what} in {time.monotonic() - self._began:.0f} s")

    def _beat(self) -> None:
        while not self._ended.wait(self._interval_s):
            minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
            say(f"making {self._what}, {minutes}:{seconds:02}" + (f": {self.detail}" if self.detail else ""))
