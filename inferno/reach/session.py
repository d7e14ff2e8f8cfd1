"""Runs a command in a guest with our standard streams as its own, and ends as it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import functools

from inferno.reach import command, terminal
from inferno.reach.command import Command
from inferno.reach.guest import Guest
from inferno.reach.relay import Relay

_STDIN, _STDOUT, _STDERR = 0, 1, 2
# The best first. Absolute names too: an image's PATH may name anything.
SHELLS = ("bash", "zsh", "ash", "sh", "/bin/sh")


def run(guest: Guest, asked: Command, *, stdin: bool, tty: bool) -> int:
    """Run it; return its exit status, 128+n for a death by signal n. With `tty`, it gets a terminal of our size.

    Raises NotStartedError when it cannot be executed, InfernoError when the guest is gone or sends garbage.
    """
    size = functools.partial(terminal.size, _STDIN, _STDOUT, _STDERR)
    asked = dataclasses.replace(asked, stdin=stdin, size=size() if tty else None)
    stream, received = command.start(guest.root, asked)
    with stream, terminal.raw(_STDIN) if stdin and tty else contextlib.nullcontext():
        ends = Relay(
            stream, stdin=_STDIN if stdin else None, stdout=_STDOUT, stderr=_STDERR, size=size if tty else None
        )
        return ends.run(received).status


def shell(guest: Guest, asked: Command, *, tty: bool) -> int:
    """The best shell there is, with our standard input; `asked` says all but the program. Raises as `run`."""
    absent = (command.NOT_FOUND, command.NOT_EXECUTABLE)
    for program in SHELLS:
        try:
            return run(guest, dataclasses.replace(asked, args=(program,)), stdin=True, tty=tty)
        except command.NotStartedError as error:
            if error.status not in absent:
                raise
            last = error
    raise command.NotStartedError(f"{guest.name} has no shell: {last.text}", last.status)
