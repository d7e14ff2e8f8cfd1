"""Runs the long programs of a build (cargo, make, apt-get), and tells the caller each line they print.

While a program is silent, its last line is told again every few seconds: the caller can show that the work goes on.

Whoever waits for such a program owns it: when the waiting process dies, by whatever signal, the kernel sends
the program SIGTERM (PR_SET_PDEATHSIG), on which make and cargo end their own children.
"""

from __future__ import annotations

import collections
import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from inferno.base import interruption, processes
from inferno.base.progress import Progress, quiet

# A build's error is in its last lines, and more of them than a terminal shows help nobody.
_KEPT_LINES = 40
_AGAIN_S = 5


def follow(
    argv: Sequence[processes.Arg],
    *,
    what: str,
    progress: Progress = quiet,
    env: Mapping[str, str] | None = None,
    cwd: processes.Arg | None = None,
    hint: str | None = None,
    again_s: float = _AGAIN_S,
) -> None:
    """Run `argv` to its end, telling `progress` each line as the detail of `what`, and the number of lines so far.

    A program that prints nothing for `again_s` seconds has its last line told again.

    Raises MissingToolError, or CommandError whose `output` holds the last 40 lines.
    """
    process = processes.spawn(
        argv,
        stdout=processes.PIPE,
        stderr=processes.STDOUT,
        env=env,
        cwd=cwd,
        preexec=processes.dying_with_parent(signal.SIGTERM),
    )
    kept: collections.deque[bytes] = collections.deque(maxlen=_KEPT_LINES)
    try:
        assert process.stdout is not None
        number, detail = 0, ""
        progress(what)
        with interruption.ends(process):
            for line in _lines(process.stdout, again_s):
                if line is not None:
                    kept.append(line)
                    number, detail = number + 1, line.decode(errors="replace").strip()
                progress(what, number, detail=detail)
            status = process.wait()
        interruption.check()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if status != 0:
        raise processes.CommandError(argv, processes.Result(status, b"".join(kept), b""), hint)


def _lines(stream: IO[bytes], again_s: float) -> Iterator[bytes | None]:
    """Each line, and None whenever no byte has come for `again_s` seconds."""
    begun = b""
    while True:
        if not select.select([stream], [], [], again_s)[0]:
            yield None
            continue
        piece = os.read(stream.fileno(), 65536)
        *whole, begun = (begun + piece).splitlines(keepends=True) or [b""]
        if piece and begun.endswith(b"\n"):
            whole, begun = [*whole, begun], b""
        yield from whole
        if not piece:
            if begun:
                yield begun
            return
