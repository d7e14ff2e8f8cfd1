"""The results of every run, in one file that only grows: a line of JSON for each run of the benchmark.

    {"at": "2026-11-30T10:41:07Z", "commit": "9c17e65…", "dirty": false,
     "machine": {"cores": 2, "processor": "…", "kernel": "6.1.0", "python": "3.11.2", "load": 0.4},
     "rows": [{"id": "list", "value": 1.31, "low": 1.22, "high": 1.38, "samples": [1.31, …], "unit": "", "bar": 2,
               "what": "…", "detail": "…"}, …],
     "failed": {"boot": "why it could not be measured"}}

`at` is when the run began, in UTC; `commit` is empty outside a git checkout, and `dirty` says that files differed from
it. `load` is the kernel's load average of the minute before: how many processes ran, or waited to. `unit` is that of
`value`, `low`, `high`, `samples` and `bar`; an empty one means a ratio.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.place import CHECKOUT
from tests.bench.row import Result


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark. `failed` has the reason for each row that could not be measured."""

    at: str
    commit: str
    dirty: bool
    machine: dict[str, Any]
    rows: dict[str, Result] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def begin() -> Run:
    """A run that begins now, in this checkout, on this machine."""
    at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Run(at, _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain")), machine())


def machine() -> dict[str, Any]:
    """What of this machine results depend on most."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def to_line(run: Run) -> str:
    rows = [
        {
            "id": result.id,
            "value": result.value,
            "low": result.low,
            "high": result.high,
            "samples": list(result.samples),
            "unit": result.unit,
            "bar": result.bar,
            "what": result.what,
            "detail": result.detail,
        }
        for result in run.rows.values()
    ]
    head = {"at": run.at, "commit": run.commit, "dirty": run.dirty, "machine": run.machine}
    return json.dumps({**head, "rows": rows, "failed": run.failed}, ensure_ascii=False) + "\n"


def from_line(line: str) -> Run:
    """Raises ValueError, KeyError or TypeError for what `to_line` did not write."""
    known = json.loads(line)
    rows = {
        each["id"]: Result(
            id=each["id"],
            what=each["what"],
            bar=each["bar"],
            unit=each["unit"],
            value=each["value"],
            samples=tuple(each["samples"]),
            detail=each["detail"],
        )
        for each in known["rows"]
    }
    return Run(known["at"], known["commit"], known["dirty"], known["machine"], rows, known["failed"])


def append(run: Run, path: Path) -> None:
    """Add a run, in one write, so that two benchmarks that end together leave two whole lines. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, to_line(run).encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> tuple[list[Run], list[int]]:
    """All runs, the oldest first, and the numbers of the lines that are none. Raises OSError."""
    runs, damaged = [], []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            runs.append(from_line(line))
        except (ValueError, KeyError, TypeError):
            damaged.append(number)
    return runs, damaged
