"""A stream as a file: reads are what the process in the guest writes, writes are what it reads.

For copies, which go one way. They take what they take, but a guest that does nothing at all is not waited for; what is
held has a limit.
"""

from __future__ import annotations

import select
import socket
import time

from inferno.base.errors import InfernoError
from inferno.base.text import printable
from inferno.reach import frame
from inferno.reach.bounds import LEAST_BYTES, STANDARD
from inferno.reach.stream import Stream
from inferno.wire.shared import MAX_FRAME_PAYLOAD_BYTES

# Of what went wrong, and of all that the process says beside its bytes.
_MAX_ERROR_BYTES = 4096
_MAX_WORDS_BYTES = 64 * 1024
_MAX_UNREAD_BYTES = 1 << 20


class Channel:
    """`received` came of the stream already; `idle_s` are the seconds in which the guest has to send or take something.

    Raises InfernoError, from any method, when the process says it failed.
    """

    def __init__(self, guest: socket.socket, received: bytes, idle_s: float | None = STANDARD.idle_s) -> None:
        self._stream = Stream(guest)
        self._output, self._words = bytearray(), bytearray()
        self._idle_s, self._waited_s, self._came = idle_s, 0.0, 0
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

    def left_out(self) -> list[str]:
        """After the end: the paths of the guest's sockets, which it could not send, as one may show them."""
        return [printable(path.decode(errors="backslashreplace")) for path in self._words.split(b"\0")[:-1]]

    def _check_end(self) -> None:
        assert self._stream.exit is not None
        status = self._stream.exit.status
        if status != 0:
            said = printable(self._words[:_MAX_ERROR_BYTES].decode(errors="replace"))
            raise InfernoError(f"in the guest: {said or f'the copy ended with {status}'}")

    def _turn(self) -> None:
        state = self._wait()
        if state & select.POLLOUT:
            self._stream.send()
            self._waited_s = 0.0
        if state & ~select.POLLOUT:
            self._receive()
        if self._stream.gone:
            raise InfernoError("the guest ended the stream in the middle of the copy", "did the VM end?")

    def _wait(self) -> int:
        """What poll(2) says of the stream. The time that passes between two calls is ours and not the guest's."""
        poll = select.poll()
        poll.register(self._stream, self._stream.events(receive=True))
        left_s = None if self._idle_s is None else self._idle_s - self._waited_s
        began = time.monotonic()
        ready = poll.poll(None if left_s is None else max(left_s, 0) * 1000)
        self._waited_s += time.monotonic() - began
        if not ready:
            raise InfernoError(
                f"the guest did nothing for {self._idle_s:g} s in the middle of the copy", "to wait longer: --no-limits"
            )
        return ready[0][1]

    def _receive(self) -> None:
        """What came. Leave to send is progress, and so are so many bytes that it is worth waiting for."""
        leave, held = self._stream.leave, len(self._output)
        self._take(self._stream.receive())
        self._came += len(self._output) - held
        if self._stream.leave > leave or self._came >= LEAST_BYTES:
            self._waited_s, self._came = 0.0, 0

    def _take(self, output: list[tuple[int, bytes]]) -> None:
        for kind, payload in output:
            if kind == frame.STDOUT:
                self._output += payload
            else:
                self._words += payload[: _MAX_WORDS_BYTES - len(self._words)]
        if len(self._output) > _MAX_UNREAD_BYTES:
            raise InfernoError("the guest sends while it should take")
