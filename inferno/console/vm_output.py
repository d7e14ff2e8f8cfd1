"""What a VM's process writes, on our own streams, each on its own; what of it was lost; how it ended."""

from __future__ import annotations

import os

from inferno.base.text import visible_lines
from inferno.console.errors import say
from inferno.life import exit_status
from inferno.logs.log_record import Record

_STREAMS = {"stdout": 1, "stderr": 2}


def write(record: Record) -> None:
    """The process's own words, as it wrote them; lines of other sources are not output. Raises BrokenPipeError.

    A terminal gets nothing that it would act upon: the process had none, so these words were not meant for one.
    """
    if record.source in _STREAMS:
        descriptor, data = _STREAMS[record.source], record.output()
        if os.isatty(descriptor):
            data = visible_lines(data.decode(errors="backslashreplace")).encode()
        while data:
            data = data[os.write(descriptor, data) :]


def say_dropped(name: str, record: Record) -> None:
    """A record that says that lines of the VM were dropped, for the person who follows it."""
    if record.dropped:
        say(f"{name}: {record.text()}")


def say_end(name: str, last: exit_status.ExitStatus) -> int:
    """What went wrong at the end of the run, if anything did; return the status to end with."""
    for problem in (last.error, last.vm_error):
        if problem:
            say(f"{name}: {problem}")
    return exit_status.code(last)
