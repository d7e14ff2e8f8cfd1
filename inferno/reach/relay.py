"""Between a process in a guest and our own standard streams: one poll loop, bounded buffers, back pressure both ways.

Our descriptors stay blocking, since others may share them: each is written only when poll(2) says that it takes
bytes, and then no more than a pipe takes at once. Input is read only while the guest gave leave for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from inferno.base.errors import InfernoError
from inferno.base.text import Harmless
from inferno.reach import frame, signals
from inferno.reach.detach_keys import HOLD_S, LeavingKeys, LeftError
from inferno.reach.stream import Stream
from inferno.reach.terminal import Size
from inferno.wire.shared import MAX_FRAME_PAYLOAD_BYTES

# A pipe that poll(2) calls writable takes so much without making the writer wait: pipe(7), PIPE_BUF.
_PIPE_BYTES = select.PIPE_BUF
_READ_BYTES = MAX_FRAME_PAYLOAD_BYTES
_HIGH_WATER_BYTES = 64 * 1024
_INSISTENT = 3
# How long the guest may take to let go of who leaves by the keys: it does so at once, unless it hangs.
_LEAVE_S = 3.0
_ENDING = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Output:
    """A descriptor of ours, and what is still to be written to it."""

    descriptor: int
    name: str
    shown: Harmless | None = None
    pending: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """To be written; harmless where it is shown."""
        self.pending += self.shown.feed(data) if self.shown else data

    def finish(self) -> None:
        """Nothing more comes."""
        if self.shown:
            self.pending += self.shown.feed(b"", last=True)
            self.shown = None

    def write(self) -> None:
        """Write some. Raises BrokenPipeError when nobody reads it, InfernoError when it cannot be written."""
        length = len(self.pending) if self._never_waits() else _PIPE_BYTES
        try:
            with contextlib.suppress(BlockingIOError):  # its owner made it non-blocking
                del self.pending[: os.write(self.descriptor, self.pending[:length])]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise InfernoError(f"{self.name} cannot be written: {error.strerror}") from None

    def _never_waits(self) -> bool:
        return stat.S_ISREG(os.fstat(self.descriptor).st_mode)


class GivenUpError(InfernoError):
    """The caller insisted on the end, by signals, before the command ended."""

    def __init__(self, number: int) -> None:
        super().__init__("the end was insisted on: the command was not waited for")
        self.status = 128 + number


class Relay:
    """`stdin` None: no input. `size` is asked when the terminal's size changed, where there is one.

    `keys` are those by which the caller leaves before the process ends.
    """

    def __init__(
        self,
        guest: socket.socket,
        *,
        stdin: int | None,
        stdout: int,
        stderr: int,
        size: Callable[[], Size] | None,
        keys: LeavingKeys | None = None,
    ) -> None:
        self._stream = Stream(guest)
        self._stdin = stdin
        # Without a terminal of its own, what the process writes is not meant for one: ours must not act upon it.
        self._outputs = {
            kind: Output(descriptor, name, Harmless() if size is None and os.isatty(descriptor) else None)
            for kind, descriptor, name in (
                (frame.STDOUT, stdout, "standard output"),
                (frame.STDERR, stderr, "standard error"),
            )
        }
        self._size = size
        self._keys = keys
        self._release_at = 0.0  # of keys that are held back, as time.monotonic() has it
        self._leave_by = 0.0  # the latest, likewise, once the keys to leave were typed
        self._asked_to_end = 0

    def run(self, received: bytes) -> frame.Exit:
        """Until the process ended and all it wrote is written. `received` came of the stream already.

        Raises InfernoError when the guest goes away or sends garbage, GivenUpError when the third SIGINT or SIGTERM
        finds the process still there, LeftError, BrokenPipeError when nobody reads what it writes.
        """
        self._take(self._stream.take(received))
        with signals.taken() as notes:
            self._tell_size()  # it may have changed since it was asked for, while nobody took notes
            while not self._stream.over or self._pending():
                self._turn(notes)
                if self._leave_by and (self._stream.deaf or time.monotonic() >= self._leave_by):
                    break
        if self._stream.exit is None and self._leave_by:
            raise LeftError("left by the keys for it")
        if self._stream.exit is None:
            raise InfernoError("the guest ended the stream before the command ended", "did the VM end?")
        return self._stream.exit

    def _turn(self, notes: int) -> None:
        ready = self._wait(notes)
        # Also where poll(2) did not yet see it: a signal that came while input was there already comes first.
        with contextlib.suppress(BlockingIOError):
            self._forward(os.read(notes, 64))
        for output in self._outputs.values():
            if output.pending and output.descriptor in ready:
                output.write()
        if self._stdin is not None and self._stdin in ready:
            self._read_input()
        if self._stream.unsent:
            self._stream.send()
        if ready.get(self._stream.fileno(), 0) & ~select.POLLOUT:
            self._take(self._stream.receive())
        if self._stream.over or self._stream.deaf:
            self._stdin = None

    def _wait(self, notes: int) -> dict[int, int]:
        """What poll(2) says of each descriptor that matters now."""
        poll = select.poll()
        poll.register(notes, select.POLLIN)
        for output in self._outputs.values():
            if output.pending:
                poll.register(output.descriptor, select.POLLOUT)
        # Nothing is read while what came is not yet written: so the process waits.
        if wanted := self._stream.events(receive=self._pending() < _HIGH_WATER_BYTES):
            poll.register(self._stream, wanted)
        if self._stdin is not None and self._stream.leave > 0 and not self._stream.unsent:
            poll.register(self._stdin, select.POLLIN)
        holding = self._keys is not None and self._keys.holding
        until = self._leave_by or (self._release_at if holding else None)
        ready = poll.poll(None if until is None else max(until - time.monotonic(), 0) * 1000)
        if holding and not ready and self._keys is not None:
            self._stream.put(frame.encode(frame.STDIN, self._keys.release()))
        return dict(ready)

    def _pending(self) -> int:
        return sum(len(output.pending) for output in self._outputs.values())

    def _read_input(self) -> None:
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, min(self._stream.leave, _READ_BYTES))
        except BlockingIOError:
            return
        except OSError:  # closed, or a terminal that is gone
            data = b""
        if data:
            self._stream.leave -= len(data)
            self._release_at = time.monotonic() + HOLD_S
            if typed := self._keys.pass_on(data) if self._keys else data:
                self._stream.put(frame.encode(frame.STDIN, typed))
            if self._keys and self._keys.left:
                self._leave()
        else:
            self._stdin = None
            self._stream.put(frame.encode(frame.STDIN_END))

    def _leave(self) -> None:
        """The command is to go on without us. The guest hangs up when it has heard that."""
        self._stdin = None
        self._stream.put(frame.encode(frame.DETACH))
        self._leave_by = time.monotonic() + _LEAVE_S

    def _forward(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signals.RESIZED:
                self._tell_size()
                continue
            self._asked_to_end += number in _ENDING
            if self._asked_to_end >= _INSISTENT or self._stream.over:
                raise GivenUpError(number)
            self._stream.put(frame.signal(number))

    def _tell_size(self) -> None:
        if self._size is not None:
            size = self._size()
            self._stream.put(frame.resize(size.rows, size.cols))

    def _take(self, output: list[tuple[int, bytes]]) -> None:
        for kind, payload in output:
            self._outputs[kind].add(payload)
        if self._stream.over:
            for each in self._outputs.values():
                each.finish()
