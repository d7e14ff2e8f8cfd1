"""A stream as a file: reads are what the process in the guest writes, writes are what it reads.

For copies, which go one way. They take what they take, but a guest that does nothing at all is not waited for; what is
held has a limit.
"""

from __future__ import annotations

import contextlib
import select
import socket

from inferno.errors import InfernoError
from inferno.reach import frame
from inferno.readiness import printable

_READ_BYTES = 64 * 1024
_MAX_WORDS_BYTES = 4096
_MAX_UNREAD_BYTES = 1 << 20
# In which a guest has to send or take something: its slowest disk does.
_IDLE_S = 60.0


class Channel:
    """`received` came of the stream already. Raises InfernoError, from any method, when the process says it failed."""

    def __init__(self, guest: socket.socket, received: bytes) -> None:
        self._guest = guest
        self._reader = frame.Reader()
        self._output, self._words, self._unsent = bytearray(), bytearray(), bytearray()
        self._leave = 0
        self._exit: frame.Exit | None = None
        self._take(received)

    def read(self, length: int) -> bytes:
        """At most `length` bytes; none at the end, which must have been a good one."""
        while not self._output and self._exit is None:
            self._turn()
        if not self._output:
            self._check_end()
        data = bytes(self._output[:length])
        del self._output[:length]
        return data

    def write(self, data: bytes) -> int:
        """All of it, as there is leave."""
        view = memoryview(data)
        while view:
            if self._exit is not None:
                self._check_end()
                raise InfernoError("the guest took less than it was sent")
            if self._unsent or not self._leave:
                self._turn()
                continue
            part = view[: min(self._leave, frame.MAX_PAYLOAD_BYTES)]
            self._leave -= len(part)
            self._unsent += frame.encode(frame.STDIN, bytes(part))
            view = view[len(part) :]
        return len(data)

    def finish(self) -> None:
        """No more is written: wait until the process took it all and ended well."""
        if self._exit is None:
            self._unsent += frame.encode(frame.STDIN_END)
        while self._exit is None:
            self._turn()
        self._check_end()

    def _check_end(self) -> None:
        assert self._exit is not None
        if self._exit.status != 0:
            said = printable(self._words.decode(errors="replace"))
            raise InfernoError(f"in the guest: {said or f'the copy ended with {self._exit.status}'}")

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._guest, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        ready = poll.poll(_IDLE_S * 1000)
        if not ready:
            raise InfernoError(f"the guest did nothing for {_IDLE_S:g} s in the middle of the copy")
        [(_, state)] = ready
        if self._unsent and state & select.POLLOUT:
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                del self._unsent[: self._guest.send(self._unsent)]
        if not state & ~select.POLLOUT:
            return
        try:
            data = self._guest.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise InfernoError("the guest ended the stream in the middle of the copy", "did the VM end?")
        self._take(data)

    def _take(self, data: bytes) -> None:
        for kind, payload in self._reader.feed(data):
            if kind == frame.STDOUT:
                self._output += payload
            elif kind == frame.STDERR:
                self._words += payload[: _MAX_WORDS_BYTES - len(self._words)]
            elif kind == frame.WINDOW:
                self._leave += frame.window(payload)
            else:
                self._exit = frame.exit_of(payload)
                self._unsent.clear()
                return
        if len(self._output) > _MAX_UNREAD_BYTES:
            raise InfernoError("the guest sends while it should take")
