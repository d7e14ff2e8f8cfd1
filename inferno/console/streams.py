"""The standard streams, as the caller left them: closed, full, or a pipe that no process reads any more."""

from __future__ import annotations

import errno
import os
import sys

from inferno.base.errors import InfernoError
from inferno.console.errors import report

_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def fill() -> None:
    """One that the caller closed becomes /dev/null: else it is the next thing opened, a database or a guest, say."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, so this one
        if getattr(sys, name) is None:
            stream = open(descriptor, "r" if name == "stdin" else "w", closefd=False)  # noqa: SIM115  # to the end
            setattr(sys, name, stream)


def flush() -> None:
    """Here, where it is reported, rather than at the interpreter's end, where it is a traceback."""
    sys.stdout.flush()


def lost(error: OSError) -> int:
    """The exit status when what was printed cannot be written. Raises `error` again when it is about something else."""
    gone = isinstance(error, BrokenPipeError)
    if not gone and (error.errno not in _LOST or error.filename is not None):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in the buffer goes there
    if gone:  # infernoctl list | head
        return 141  # 128 + SIGPIPE
    report(InfernoError(f"the output cannot be written: {error.strerror}"))
    return InfernoError.status
