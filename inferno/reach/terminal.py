"""The caller's terminal: its size, and the mode in which each key goes to the guest as it is."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    rows: int
    cols: int


_USUAL = Size(24, 80)


def size(*descriptors: int) -> Size:
    """That of the first which is a terminal and knows; else the usual one."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            found = os.get_terminal_size(descriptor)
            if found.lines > 0 and found.columns > 0:
                return Size(found.lines, found.columns)
    return _USUAL


@contextlib.contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Control characters are the guest's terminal's business; the mode is as before in the end."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is kept
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
