"""One connection of a VM's: read in bounded pieces, judged, written to the VM's own log, and then acknowledged."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import time

from inferno.logs.collector import notices
from inferno.logs.collector.duplicates import Again
from inferno.logs.collector.handshake import Hello
from inferno.logs.collector.lines import Sieve
from inferno.logs.collector.log_file import LogFile
from inferno.logs.collector.rate import Rate
from inferno.logs.collector.sender import Sender

READ_BYTES = 64 * 1024
# Lines that are not passed on are counted, and spoken of no more often than this.
_COMPLAINT_EVERY_S = 1.0
# So many more bytes of whole lines are in the files (kiln/src/collector.rs).
_ACKNOWLEDGED = struct.Struct("<I")


class Peer:
    """The connection of one VM's kiln, and the lines that come over it."""

    def __init__(self, connection: socket.socket, uid: int, sender: Sender, log: LogFile, rate: Rate) -> None:
        """`log` and `rate` are the VM's."""
        self.connection = connection
        self.uid = uid
        self.sender = sender
        self.refused = 0
        self.ended = False
        self._log = log
        self._rate = rate
        self._hello = Hello()
        self._sieve = Sieve(sender.name, sender.vm_id)
        self._again = Again(log.path)
        self._owed = 0  # bytes that are written, and not acknowledged
        self._complained_at = -_COMPLAINT_EVERY_S

    def pending(self) -> int:
        """How many bytes wait to be read."""
        waiting: int = struct.unpack("i", fcntl.ioctl(self.connection, termios.FIONREAD, b"\0" * 4))[0]
        return waiting

    def read(self) -> tuple[int, bytes]:
        """Read once; return how many bytes came, and the lines that were written, for the combined log."""
        try:
            data = self.connection.recv(READ_BYTES)
        except BlockingIOError:
            return 0, b""
        except OSError:  # ECONNRESET: the sender was killed with something of ours unread, and there is nothing
            data = b""
        count, self.ended = len(data), not data
        lines = b""
        if data and not self._hello.over:
            data, lines = self._greet(data)
        held = self._sieve.held
        lines += self._rate.pass_on(self._again.without(self._sieve.feed(data))) if data else b""
        self._owed += len(data) + held - self._sieve.held
        if self.ended or time.monotonic() - self._complained_at >= _COMPLAINT_EVERY_S:
            lines += self._complaint()
        self._log.write(lines)
        return count, lines

    def _greet(self, data: bytes) -> tuple[bytes, bytes]:
        """Answer a kiln's first line; return what came after it, and what is to be said of one not to be understood."""
        data = self._hello.feed(data)
        with contextlib.suppress(OSError):
            self.connection.send(self._hello.answer)
        if self._hello.stranger is None:
            return data, b""
        self.ended = True
        return b"", notices.stranger(self.sender.name, self.sender.vm_id, self._hello.stranger)

    def acknowledge(self) -> None:
        """Tell the sender what it need not keep, once that is in all files. One that does not listen is told later."""
        if self._owed:
            with contextlib.suppress(OSError):
                self.connection.send(_ACKNOWLEDGED.pack(self._owed))
                self._owed = 0

    def complain(self) -> bytes:
        """Say now what was refused or dropped; return what was written, for the combined log."""
        lines = self._complaint()
        self._log.write(lines)
        return lines

    def _complaint(self) -> bytes:
        count, sample = self._sieve.refused.take()
        dropped = self._rate.take_dropped()
        if not (count or dropped):
            return b""
        self.refused += count
        self._complained_at = time.monotonic()
        vm = self.sender
        said = notices.refused(vm.name, vm.vm_id, count, sample) if count else b""
        return said + (notices.too_many(vm.name, vm.vm_id, dropped, self._rate.per_s) if dropped else b"")
