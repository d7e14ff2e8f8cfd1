"""Signals as bytes to read: what comes for us is meant for the process in the guest.

SIGHUP is not taken: it ends us, the connection goes, and init sends SIGHUP to the process. Neither is SIGTSTP: a
stopped `exec` reads nothing, so that the process waits. What the caller has us ignore (nohup, `&`) stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

FORWARDED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
RESIZED = signal.SIGWINCH


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A non-blocking descriptor from which the number of each signal is read, a byte each. Main thread only."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before: dict[signal.Signals, Any] = {}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        for number in (*FORWARDED, RESIZED):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _noted)
        # Whoever held them back until somebody listens: here somebody does.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        yield reader
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old)
        os.close(writer)
        os.close(reader)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The byte is in the pipe."""
