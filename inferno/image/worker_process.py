"""Runs the worker, `inferno.image.layers`, which alone decompresses and unpacks what images hold, and has no rights."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import inferno
from inferno.base import files, interruption, processes
from inferno.base.errors import UsageError
from inferno.base.progress import Progress
from inferno.image.worker_cell import Cell, cell
from inferno.image.worker_limits import guarded
from inferno.settings import Settings
from inferno.state.paths import Paths

_MAX_LINE_BYTES = 1 << 16
_MAX_WORDS = 2000  # of what was left out, whatever the worker says
# How much later than the guard, which ends the worker, the reader gives up.
_GRACE_S = 5
# How often an image lies on the disk at most while its base is made: its layers, then mkfs's copy, each with what
# archives and blocks add. Measured with 16,000 files of 25 KiB: 2.1.
_ROOM = 3


def run(
    job: Mapping[str, object],
    reads: list[int],
    writes: list[int],
    settings: Settings,
    progress: Progress,
    *,
    needed: int,
) -> str:
    """Run the worker on a job to its end; return what it left out of a base, in words, empty for nothing.

    The open files are those it `reads` and those it `writes`; `needed` is how much room it takes at least, in bytes.
    Raises UsageError for an image that cannot be used, InfernoError when the disk is full.
    """
    answer: dict[str, Any] = {}
    max_bytes = settings.image_max_mib << 20
    job = {**job, "uid": settings.worker_uid, "max_bytes": max_bytes, "cpu_s": settings.image_timeout_s}
    with (
        _worker([*reads, *writes]) as (worker, held),
        guarded(held, writes, settings.image_timeout_s, _ROOM * max_bytes) as guard,
    ):
        assert worker.stdin
        assert worker.stdout
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(json.dumps(job).encode())
            worker.stdin.close()
        for line in lines(worker.stdout.fileno(), time.monotonic() + settings.image_timeout_s + _GRACE_S):
            answer = _read(line)
            if "progress" in answer:
                total = answer.get("total")
                needed = total if isinstance(total, int) else needed
                progress(str(answer["progress"]), answer.get("done"), total)
        status = processes.wait(worker, _GRACE_S)  # it has said its last word
    interruption.check()
    if "done" in answer and status == 0:
        return str(answer.get("left_out", ""))[:_MAX_WORDS]
    if answer.get("full"):
        raise files.disk_full(Paths(settings.root).images, needed)
    if "error" in answer:
        raise UsageError(f"the image cannot be used: {answer['error']}")
    reason = guard.reason
    if reason is None:
        used_up = status == 128 + signal.SIGXCPU
        reason = "it took too long (INFERNO_IMAGE_TIMEOUT)" if used_up else f"the worker ended with {status}"
    raise UsageError(f"the image cannot be used: {reason}")


@contextlib.contextmanager
def _worker(descriptors: list[int]) -> Iterator[tuple[processes.Popen[bytes], Cell]]:
    """The worker, which waits for its job, in a cell that ends with the `with`."""
    package = str(Path(inferno.__file__).resolve().parent.parent)
    worker = processes.spawn(
        [sys.executable, "-P", "-s", "-m", "inferno.image.layers"],
        stdin=processes.PIPE,
        stdout=processes.PIPE,
        env={"PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=descriptors,
        cwd="/",
        die_with_parent=True,
    )
    with worker, cell(worker) as held, interruption.ends(held):
        yield worker, held


def lines(output: int, until: float) -> Iterator[bytes]:
    """The whole lines that come over a pipe, to its end, or until `time.monotonic()` is `until`.

    A process that holds the pipe open does not hold up the reader. What is longer than a line may be is left out.
    """
    held = b""
    poll = select.poll()
    poll.register(output, select.POLLIN)
    while poll.poll(max(0.0, until - time.monotonic()) * 1000) and time.monotonic() < until:
        data = os.read(output, _MAX_LINE_BYTES)
        if not data:
            return
        *whole, held = (held + data).split(b"\n")
        held = held if len(held) <= _MAX_LINE_BYTES else b""
        yield from whole


def _read(line: bytes) -> dict[str, Any]:
    """What the worker says is data: it may be anything, if the image got hold of it."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
