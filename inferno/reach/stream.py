"""Our end of a stream to a process in a guest: what is to be sent, the leave to send input, how the process ended.

Nothing here waits: its user polls, and then lets it `send` and `receive`.
"""

from __future__ import annotations

import contextlib
import select
import socket

from inferno.reach import frame

_READ_BYTES = 64 * 1024


class Stream:
    """`leave` is how many more bytes of input the process takes; `exit` is there once it ended.

    `gone`: the guest ended the stream. `deaf`: it takes nothing more; what it said before is still to be received.
    """

    def __init__(self, guest: socket.socket) -> None:
        self._guest = guest
        self._reader = frame.Reader()
        self._unsent = bytearray()
        self.leave = 0
        self.exit: frame.Exit | None = None
        self.gone = self.deaf = False

    def fileno(self) -> int:
        return self._guest.fileno()

    @property
    def over(self) -> bool:
        return self.exit is not None or self.gone

    @property
    def unsent(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._unsent)

    def put(self, data: bytes) -> None:
        """Frames to be sent. One that nobody takes any more is dropped."""
        if not (self.over or self.deaf):
            self._unsent += data

    def events(self, *, receive: bool) -> int:
        """What to poll for; 0 when it is over."""
        if self.over:
            return 0
        return (select.POLLIN if receive else 0) | (select.POLLOUT if self._unsent else 0)

    def send(self) -> None:
        """As much as goes now."""
        try:
            with contextlib.suppress(BlockingIOError):
                del self._unsent[: self._guest.send(self._unsent)]
        except OSError:
            self.deaf = True
            self._unsent.clear()

    def receive(self) -> list[tuple[int, bytes]]:
        """What came of the process's output: STDOUT or STDERR, and bytes. Raises InfernoError unless it is a frame."""
        try:
            data = self._guest.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.gone = True
            self._unsent.clear()
        return self.take(data)

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """The same of bytes that came already."""
        output = []
        for kind, payload in self._reader.feed(data):
            if kind == frame.WINDOW:
                self.leave += frame.window(payload)
            elif kind == frame.EXIT:
                self.exit = frame.exit_of(payload)
                self._unsent.clear()
                break
            else:
                output.append((kind, payload))
        return output
