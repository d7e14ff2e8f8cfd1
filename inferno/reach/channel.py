"""A stream as a file: reads are what the process in the guest writes, writes are what it reads.

For copies, which go one way. They take what they take, but a guest that does nothing at all is not waited for; what is
held has a limit.
"""

from __future__ import annotations

import select
import socket

from inferno.base.errors import InfernoError
from inferno.base.text import printable
from inferno.reach import frame
from inferno.reach.stream import Stream
from inferno.wire.shared import MAX_FRAME_PAYLOAD_BYTES

_MAX_WORDS_BYTES = 4096
_MAX_UNREAD_BYTES = 1 << 20
# In which a guest has to send or take something: its slowest disk does.
_IDLE_S = 60.0


class Channel:
    """`received` came of the stream already. Raises InfernoError, from any method, when the process says it failed."""

    def __init__(self, guest: socket.socket, received: bytes) -> None:
        self._stream = Stream(guest)
        self._output, self._words = bytearray(), bytearray()
        self._take(self._stream.take(received))

    def read(self, length: int) -> bytes:
        """At most `length` bytes; none at the end, which must have been a good one."""
        while not self._output and self._stream.exit is None:
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
            if self._stream.exit is not None:
                self._check_end()
                raise InfernoError("the guest took less than it was sent")
            if self._stream.unsent or self._stream.deaf or not self._stream.leave:
                self._turn()
                continue
            part = view[: min(self._stream.leave, MAX_FRAME_PAYLOAD_BYTES)]
            self._stream.leave -= len(part)
            self._stream.put(frame.encode(frame.STDIN, bytes(part)))
            view = view[len(part) :]
        return len(data)

    def finish(self) -> None:
        """No more is written: wait until the process took it all and ended well."""
        self._stream.put(frame.encode(frame.STDIN_END))
        while self._stream.exit is None:
            self._turn()
        self._check_end()

    def _check_end(self) -> None:
        assert self._stream.exit is not None
        status = self._stream.exit.status
        if status != 0:
            said = printable(self._words.decode(errors="replace"))
            raise InfernoError(f"in the guest: {said or f'the copy ended with {status}'}")

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._stream, self._stream.events(receive=True))
        ready = poll.poll(_IDLE_S * 1000)
        if not ready:
            raise InfernoError(f"the guest did nothing for {_IDLE_S:g} s in the middle of the copy")
        [(_, state)] = ready
        if state & select.POLLOUT:
            self._stream.send()
        if state & ~select.POLLOUT:
            self._take(self._stream.receive())
        if self._stream.gone:
            raise InfernoError("the guest ended the stream in the middle of the copy", "did the VM end?")

    def _take(self, output: list[tuple[int, bytes]]) -> None:
        for kind, payload in output:
            if kind == frame.STDOUT:
                self._output += payload
            else:
                self._words += payload[: _MAX_WORDS_BYTES - len(self._words)]
        if len(self._output) > _MAX_UNREAD_BYTES:
            raise InfernoError("the guest sends while it should take")
