"""One measured line of the benchmark's table, and how a command is timed."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`value` is what was measured (a ratio unless `unit` says else); `bar` is what it should not exceed."""

    what: str
    value: float
    bar: float
    unit: str = ""
    detail: str = ""


def median_s(argv: Sequence[str], env: Mapping[str, str], *, runs: int = 9, cwd: str | None = None) -> float:
    """Median wall time in seconds of a command that must succeed; one run before, uncounted, warms the caches."""
    times = []
    for number in range(runs + 1):
        began = time.perf_counter()
        done = subprocess.run(argv, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False)
        spent = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stderr}")
        if number:
            times.append(spent)
    return statistics.median(times)


def median_pair_s(
    one: Sequence[str], other: Sequence[str], env: Mapping[str, str], *, runs: int = 9, cwd: str | None = None
) -> tuple[float, float]:
    """Medians of two commands run in turn, so that what else the machine does falls on both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for argv, found in zip((one, other), times, strict=True):
            found.append(median_s(argv, env, runs=1, cwd=cwd))
    return statistics.median(times[0]), statistics.median(times[1])
