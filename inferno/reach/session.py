"""Our standard streams as those of a command in a guest, or of the image's own process; ends as that ends."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import socket

from inferno.reach import command, detach_keys, terminal
from inferno.reach.command import Command
from inferno.reach.detach_keys import LeavingKeys
from inferno.reach.guest import Guest
from inferno.reach.relay import Relay
from inferno.wire.shared import CODE_NOT_EXECUTABLE, CODE_NOT_FOUND

_STDIN, _STDOUT, _STDERR = 0, 1, 2
# The best first. Absolute names too: an image's PATH may name anything.
SHELLS = ("bash", "zsh", "ash", "sh", "/bin/sh")

# A stream to the image's process, and what came of it already.
Joined = tuple[socket.socket, bytes]


def run(guest: Guest, asked: Command, *, stdin: bool, tty: bool, keys: bytes | None = None) -> int:
    """Run it; return its exit status, 128+n for a death by signal n. With `tty`, it gets a terminal of our size.

    Raises LeftError when `keys`, or else Ctrl-P Ctrl-Q, were typed at a terminal: the command goes on, and keeps its
    own; NotStartedError when it cannot be executed; InfernoError when the guest is gone or sends garbage.
    """
    size = functools.partial(terminal.size, _STDIN, _STDOUT, _STDERR)
    asked = dataclasses.replace(asked, stdin=stdin, size=size() if tty else None)
    stream, received = command.start(guest.root, asked)
    with stream, terminal.raw(_STDIN) if stdin and tty else contextlib.nullcontext():
        # Ctrl-P is a shell's key for the line before: unless it was asked for, it is not kept back for a moment. It
        # does no harm in front of Ctrl-Q, since nobody comes back to a command that was left.
        leaving = LeavingKeys(keys or detach_keys.DEFAULT, holds=bool(keys)) if stdin and tty else None
        source, size_of = _STDIN if stdin else None, size if tty else None
        ends = Relay(stream, stdin=source, stdout=_STDOUT, stderr=_STDERR, size=size_of, keys=leaving)
        return ends.run(received).status


def attach(guest: Guest, *, replay: bool, tty: bool) -> Joined:
    """Join the image's process, at its terminal or at its input. `replay`: with what it wrote before we came.

    Raises InfernoError when it has neither, or its input was given to another.
    """
    now = terminal.size(_STDIN, _STDOUT) if tty else None
    body = {"replay": replay, "size": {"rows": now.rows, "cols": now.cols} if now else None}
    return command.stream(guest.root, "POST", "/v1/attach", body)


def stay(joined: Joined, *, tty: bool, keys: bytes | None = None) -> int:
    """Our streams as those of the image's process, until it ends; return its exit status.

    Raises LeftError when `keys`, or else Ctrl-P Ctrl-Q, were typed at a terminal; for the rest as Relay.run.
    """
    stream, received = joined
    size = functools.partial(terminal.size, _STDIN, _STDOUT) if tty else None
    with stream, terminal.raw(_STDIN) if tty else contextlib.nullcontext():
        leaving = LeavingKeys(keys or detach_keys.DEFAULT) if tty else None
        ends = Relay(stream, stdin=_STDIN, stdout=_STDOUT, stderr=_STDERR, size=size, keys=leaving)
        return ends.run(received).status


def shell(guest: Guest, asked: Command, *, tty: bool) -> int:
    """The best shell there is, with our standard input; `asked` says all but the program. Raises as `run`."""
    absent = (CODE_NOT_FOUND, CODE_NOT_EXECUTABLE)
    for program in SHELLS:
        try:
            return run(guest, dataclasses.replace(asked, args=(program,)), stdin=True, tty=tty)
        except command.NotStartedError as error:
            if error.status not in absent:
                raise
            last = error
    raise command.NotStartedError(f"{guest.name} has no shell: {last.text}", last.status)
