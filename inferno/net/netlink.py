"""Just enough netlink to make and look at a TAP and the elements of an nftables set: messages, attributes, errors.

Why not pyroute2, `ip` or `nft`: this is on the path of every start and stop. Importing pyroute2 costs 110 ms (1 s and
more in the rig) and a process 4 to 30 ms; a request here costs some 20 microseconds and imports nothing heavy.
Numbers are of include/uapi/linux/netlink.h where nothing else is said.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

ROUTE = 0
NETFILTER = 12

# Message types and flags.
ERROR, DONE = 2, 3
REQUEST, MULTI, ACK, ROOT, MATCH = 0x1, 0x2, 0x4, 0x100, 0x200
DUMP = ROOT | MATCH
EXCL, CREATE, APPEND = 0x200, 0x400, 0x800
NESTED = 0x8000
_TYPE_MASK = 0x3FFF
# Of include/uapi/linux/netfilter/nfnetlink.h; the subsystem is the high byte of a message's type.
NFTABLES = 10
NFGENMSG_SIZE = 4
_BATCH_BEGIN, _BATCH_END = 16, 17

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# A dump's datagrams are at most 32 KiB long (net/netlink/af_netlink.c, netlink_dump), so one buffer always fits one.
_BUFFER = 65536
_TIMEOUT_S = 30.0
# SOL_NETLINK and the two options used, of include/linux/socket.h and uapi/linux/netlink.h.
_SOL_NETLINK, _CAP_ACK, _GET_STRICT_CHK = 270, 10, 12


@dataclass(frozen=True, slots=True)
class Message:
    """One request or answer: type, flags, and everything behind the netlink header.

    `awaited` is False for what the kernel answers only when it fails: the frame around an nftables transaction.
    """

    type: int
    flags: int
    body: bytes
    awaited: bool = True


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to 4 bytes."""
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *values: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(values))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data`, in order: (type without its flag bits, value)."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def nfgenmsg(family: int, resource: int = 0) -> bytes:
    """The header of NFGENMSG_SIZE bytes behind netlink's in every nftables message."""
    return struct.pack(">BBH", family, 0, resource)


class Socket:
    """A netlink socket of one protocol, for use in a `with`. Kernel errors are raised as OSError with their errno."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        if protocol == ROUTE:
            self._socket.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)  # dumps honour their filter
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._socket.close()

    def request(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Ask for a change and wait for the kernel's acknowledgement."""
        self.send([Message(kind, flags | ACK, body)])

    def get(self, kind: int, body: bytes) -> bytes:
        """Ask for one object and return the body of the answer."""
        answers = self.send([Message(kind, 0, body)])
        return answers[0].body

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Ask for all objects that match and return their bodies."""
        return [answer.body for answer in self.send([Message(kind, DUMP, body)])]

    def send(self, messages: Sequence[Message]) -> list[Message]:
        """Send `messages` as one datagram; wait for their answers; return those that are not mere ACK.

        The kernel works while it takes the datagram, so answers are queued when this starts to read them; the
        timeout is for a kernel that answers otherwise than expected. Raises the first error, and waits for no more:
        a transaction that failed acknowledges nothing else.
        """
        waiting: set[int] = set()
        packet = bytearray()
        for message in messages:
            self._sequence += 1
            if message.awaited:
                waiting.add(self._sequence)
            length, flags = _HEADER.size + len(message.body), message.flags | REQUEST
            packet += _HEADER.pack(length, message.type, flags, self._sequence, 0) + message.body
            packet += bytes(-length % 4)
        self._socket.send(packet)
        answers: list[Message] = []
        first = self._sequence - len(messages) + 1
        while waiting:
            for sequence, answer in self._receive():
                if sequence < first:  # what a failed transaction left in the queue
                    continue
                if answer.type == ERROR:
                    code = -struct.unpack_from("=i", answer.body)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                elif answer.type != DONE:
                    answers.append(answer)
                if answer.type in (ERROR, DONE) or not answer.flags & MULTI:
                    waiting.discard(sequence)
        return answers

    def transaction(self, changes: Sequence[Message]) -> None:
        """Apply changes to nftables, all or none. Raises FileNotFoundError when one names what is not there."""
        frame = nfgenmsg(0, NFTABLES)
        acked = [Message(change.type, change.flags | ACK, change.body) for change in changes]
        self.send(
            [Message(_BATCH_BEGIN, 0, frame, False), *acked, Message(_BATCH_END, 0, frame, False)],
        )

    def _receive(self) -> Iterator[tuple[int, Message]]:
        data, offset = self._socket.recv(_BUFFER), 0
        while offset + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield sequence, Message(kind, flags, data[offset + _HEADER.size : offset + length])
            offset += (length + 3) & ~3
