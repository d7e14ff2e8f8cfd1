"""Runs a command in a guest and takes what it says: so much of it, and within so much time."""

from __future__ import annotations

import dataclasses
import select
import socket
import time
from collections.abc import Iterator

from inferno.base.errors import InfernoError
from inferno.reach import command, frame
from inferno.reach.command import Command
from inferno.reach.guest import Guest


def capture(guest: Guest, asked: Command, *, limit_bytes: int, timeout_s: float) -> tuple[frame.Exit, bytes]:
    """How it ended, and its standard output. There is no input, and standard error is dropped.

    Raises NotStartedError when it cannot be executed, InfernoError for more than `limit_bytes`, when it does not end
    within `timeout_s` seconds of its start, or when the guest sends garbage.
    """
    stream, received = command.start(guest.root, dataclasses.replace(asked, stdin=False, size=None))
    reader, output = frame.Reader(), bytearray()
    with stream:
        for data in _received(stream, received, timeout_s, asked.args[0]):
            for kind, payload in reader.feed(data):
                if kind == frame.EXIT:
                    return frame.exit_of(payload), bytes(output)
                if kind == frame.STDOUT:
                    output += payload
                if len(output) > limit_bytes:
                    raise InfernoError(f"{asked.args[0]} in {guest.name} says more than {limit_bytes} bytes")
    raise InfernoError(f"the guest ended the stream before {asked.args[0]} ended")


def _received(stream: socket.socket, first: bytes, timeout_s: float, what: str) -> Iterator[bytes]:
    deadline = time.monotonic() + timeout_s
    yield first
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise InfernoError(f"{what} in the guest did not end within {timeout_s:g} s")
        try:
            data = stream.recv(64 * 1024)
        except OSError:
            return
        if not data:
            return
        yield data
