"""Hands one message to kiln over a socket in the fresh jail: nothing of it is ever in a file.

kiln fetches it before there is a Firecracker. The socket lets in the VM's uid alone, the message is for the one process
that was launched, and the name goes with the message, or with this process's wait. Where this process is killed, kiln
finds nobody behind the name, and does not start the VM.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

from inferno.sandbox import jail
from inferno.wire.shared import SECRETS_SOCKET

_UCRED = struct.Struct("=iII")  # struct ucred, unix(7): pid, uid, gid


class Offer:
    """A message that waits for kiln. `launched` is to be told which process that is."""

    def __init__(self, root: int, listener: socket.socket, message: bytes) -> None:
        self._root, self._listener, self._message = root, listener, message
        self.launched: int | None = None

    def fileno(self) -> int:
        return self._listener.fileno()

    def serve(self, timeout_s: float) -> bool:
        """Take a connection, and if it is that process's, hand the message over; return whether that is done.

        One that does not take it within `timeout_s` seconds, or is gone, says so itself.
        """
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went away again
            return False
        with connection:
            pid, _, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
            if pid != self.launched:
                return False
            connection.settimeout(max(timeout_s, 0.001))
            with contextlib.suppress(OSError):
                connection.sendall(self._message)
        self.withdraw()
        return True

    def withdraw(self) -> None:
        """Nobody gets it any more."""
        self._message = b""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SECRETS_SOCKET, dir_fd=self._root)  # a name of the jail's: whatever it is, nothing is followed


@contextlib.contextmanager
def offered(root: int, uid: int, message: bytes | None) -> Iterator[Offer | None]:
    """Listen in the fresh jail whose `/` is `root`, for a process of that uid; without a message there is no socket."""
    if message is None:
        yield None
        return
    with jail.bound(root, SECRETS_SOCKET, socket.SOCK_STREAM, 0o600) as listener:
        offer = Offer(root, listener, message)
        try:
            os.chown(listener.getsockname(), uid, 0)
            listener.listen()
            yield offer
        finally:
            offer.withdraw()
