"""Runs the long programs of a build (cargo, make, apt-get), and tells the caller each line they print.

Whoever waits for such a program owns it: when the waiting process dies, by whatever signal, the kernel sends
the program SIGTERM (PR_SET_PDEATHSIG), on which make and cargo end their own children.
"""

from __future__ import annotations

import collections
import signal
from collections.abc import Callable, Mapping, Sequence

from inferno import run
from inferno.log import Progress, quiet

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
# A build's error is in its last lines, and more of them than a terminal shows help nobody.
_KEPT_LINES = 40


def follow(
    argv: Sequence[run.Arg],
    *,
    what: str,
    progress: Progress = quiet,
    env: Mapping[str, str] | None = None,
    cwd: run.Arg | None = None,
    hint: str | None = None,
) -> None:
    """Run `argv` to its end, telling `progress` "<what>: <line>" and the number of lines so far.

    Raises MissingToolError, or CommandError whose `output` holds the last 40 lines.
    """
    process = run.spawn(argv, stdout=run.PIPE, stderr=run.STDOUT, env=env, cwd=cwd, preexec=_die_with_parent())
    kept: collections.deque[bytes] = collections.deque(maxlen=_KEPT_LINES)
    try:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout, 1):
            kept.append(line)
            progress(f"{what}: {line.decode(errors='replace').strip()}", number)
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if status != 0:
        raise run.CommandError(argv, run.Result(status, b"".join(kept), b""), hint)


def _die_with_parent() -> Callable[[], None]:
    """What the child calls between fork and exec; libc is loaded here, since a forked child should not."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

    return set_death_signal
