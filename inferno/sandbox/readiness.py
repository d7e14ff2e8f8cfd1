"""Waits until what was launched says that the image's process runs, or finds out why it does not.

One poll over what may happen: kiln's word on its socket, an early error in the pipe, the end of the process, and kiln
at the socket where it fetches secrets, if there are any. What is read here comes out of a jail: sizes are limited, and
nothing unprintable reaches a person's terminal.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field

from inferno.base.text import printable
from inferno.sandbox.secrets_socket import Offer

_MAX_MESSAGE_BYTES = 4096
_MAX_OUTPUT_BYTES = 64 * 1024
# More than a pipe or a socket holds. What is written without end is read on in the next turn, if there is time.
_MAX_READS = 64
# Rust's runtime, on the way to SIGABRT: `thread 'main' panicked at FILE:LINE:COLUMN:`, then the message.
_PANIC = "thread 'main' panicked at "
_PANIC_HINT = "note: run with `RUST_BACKTRACE=1`"
_JAILERS = "Jailer error: "


@dataclass(slots=True)
class Outcome:
    """What was learned: `ready`, else kiln's own reason, what was written to the pipe, and how the process ended.

    `ended` is None while it runs, else as in subprocess: -n for a death by signal n.
    """

    ready: bool = False
    status: str | None = None
    output: bytearray = field(default_factory=bytearray)
    ended: int | None = None

    def lines(self) -> list[str]:
        """The output, safe to show."""
        return [printable(line) for line in self.output.decode(errors="replace").splitlines() if line.strip()]

    def reason(self, timeout_s: float) -> str:
        """One line: why the process does not run."""
        if self.ended is None:
            return f"its process did not run within {timeout_s:g} s"
        said = self.lines()
        return self.status or _panic(said) or _last_own(said) or f"the jailer {ending(self.ended)}"


def wait(notify: socket.socket, output: int, process: int, timeout_s: float, offer: Offer | None = None) -> Outcome:
    """Wait for READY=1 on `notify`, the end of `process` (a pidfd of a child), or `timeout_s` seconds. What is on offer
    is handed over meanwhile.

    `notify` and `output` (the pipe's end) are non-blocking. An end is reaped.
    """
    found = Outcome()
    poll = select.poll()
    for descriptor in (notify.fileno(), output, process, *([offer.fileno()] if offer else [])):
        poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while not found.ready and found.ended is None:
        left_s = deadline - time.monotonic()
        ready = [descriptor for descriptor, _ in poll.poll(max(left_s, 0) * 1000)]
        if offer and offer.fileno() in ready and offer.serve(left_s):
            poll.unregister(offer.fileno())
        if output in ready and not _read_output(output, found):
            poll.unregister(output)
        if process in ready:
            found.ended = reap(process)
            _read_output(output, found)  # what it wrote between the two looks
        _read_messages(notify, found)
        if left_s <= 0:  # however much there still is to read: who writes without end gets no more time
            break
    return found


def ending(ended: int) -> str:
    """In words: how a process ended, as in Outcome."""
    if ended >= 0:
        return f"ended with status {ended} and said nothing"
    return f"was killed by {signal.Signals(-ended).name}" if -ended in signal.valid_signals() else f"ended by {-ended}"


def reap(process: int) -> int:
    """Of a child, by its pidfd: how it ended, as in Outcome; waits for it. Raises ChildProcessError if it is none."""
    end = os.waitid(os.P_PIDFD, process, os.WEXITED)
    assert end is not None  # without WNOHANG
    return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status


def _read_output(output: int, found: Outcome) -> bool:
    """Take what the pipe holds, but no more than some of it at a time, keeping the last; return whether more may be."""
    for _ in range(_MAX_READS):
        try:
            data = os.read(output, _MAX_OUTPUT_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        found.output += data
        del found.output[:-_MAX_OUTPUT_BYTES]
    return True


def _read_messages(notify: socket.socket, found: Outcome) -> None:
    """Words of sd_notify(3): READY=1, STATUS=text; some at a time."""
    for _ in range(_MAX_READS):
        try:
            message = notify.recv(_MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        for line in message.decode(errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key == "READY" and value == "1":
                found.ready = True
            elif key == "STATUS" and value:
                found.status = printable(value)


def _panic(lines: list[str]) -> str | None:
    """The message of the jailer's panic."""
    for before, line in itertools.pairwise(lines):
        if before.startswith(_PANIC):
            return f"jailer: {line.removeprefix(_JAILERS)}"
    return None


def _last_own(lines: list[str]) -> str | None:
    """The last line that is not a continuation: kiln indents the lines of the console that follow its reason."""
    own = [line for line in lines if not line.startswith((" ", "kiln:  ", _PANIC_HINT))]
    return own[-1] if own else None
