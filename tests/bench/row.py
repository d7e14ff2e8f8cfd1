"""A row of the benchmark: an id, what is measured, the bar it is held against, and the function that measures it.

    @row("noop-create", "no-op doit create:web1 / doit list of an empty dodo", bar=1.2)
    def noop_create(lab: Lab) -> Measured: ...

Ids are what one types and what results are compared by, so they stay.
"""

from __future__ import annotations

import contextlib
import importlib
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.measure import BenchError, Measured, Stopwatch, last_line
from tests.bench.place import FOLDER

T = TypeVar("T")
WIDE = 1 / 4  # of the value: a range beyond that says little
MODULES = ("bench_build", "bench_images", "bench_logs", "bench_boot")  # in the order of the table


class Lab:
    """What the rows of one module share: made when the first of them asks, gone after the last."""

    def __init__(self, watch: Stopwatch | None = None) -> None:
        self.watch = watch or Stopwatch()
        self._held = contextlib.ExitStack()
        self._made: dict[Callable[[Lab], object], object] = {}

    def shared(self, make: Callable[[Lab], T]) -> T:
        """What `make` returns; it is called once. If it fails, it fails alike for each row that asks."""
        if make not in self._made:
            try:
                self._made[make] = make(self)
            except Exception as problem:
                self._made[make] = _Failed(reason(problem))
        found = self._made[make]
        if isinstance(found, _Failed):
            raise BenchError(found.why)
        return found  # type: ignore[return-value]  # what this very `make` returned

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Hold a context until the last row of the module is measured."""
        return self._held.enter_context(context)

    def folder(self) -> Path:
        """A new, empty folder on the disk of the cache."""
        return self.enter(work_folder())

    def close(self) -> None:
        self._made.clear()
        self._held.close()


@dataclass(frozen=True, slots=True)
class _Failed:
    why: str


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder on the disk of the cache, which has room; /tmp may be small, or memory."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work.", dir=FOLDER) as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class Row:
    """`bar` is what the value should not exceed, in `unit` (none: a ratio). `value` makes it of the samples."""

    id: str
    what: str
    bar: float
    unit: str
    value: Callable[[Sequence[float]], float]
    measure: Callable[[Lab], Measured]


@dataclass(frozen=True, slots=True)
class Result:
    """A row that was measured. `low` and `high` are the lowest and the highest sample."""

    id: str
    what: str
    bar: float
    unit: str
    value: float
    samples: tuple[float, ...]
    detail: str = ""

    @property
    def low(self) -> float:
        return min(self.samples)

    @property
    def high(self) -> float:
        return max(self.samples)

    @property
    def wide(self) -> bool:
        """Whether the range is over a quarter of the value."""
        return self.high - self.low > self.value * WIDE


_ROWS: dict[str, Row] = {}


def row(
    id: str, what: str, *, bar: float, unit: str = "", value: Callable[[Sequence[float]], float] = statistics.median
) -> Callable[[Callable[[Lab], Measured]], Callable[[Lab], Measured]]:
    """Make a function a row. `value` is the median, or for a limit that no sample may exceed, `max`."""

    def register(measure: Callable[[Lab], Measured]) -> Callable[[Lab], Measured]:
        if id in _ROWS:
            raise ValueError(f"two rows have the id {id}")
        _ROWS[id] = Row(id, what, bar, unit, value, measure)
        return measure

    return register


def rows() -> dict[str, Row]:
    """All rows, by their ids, in the order of the table."""
    for module in MODULES:
        importlib.import_module(f"tests.bench.{module}")
    return dict(_ROWS)


def measure(wanted: Row, lab: Lab) -> Result:
    """Raises whatever the row's function does."""
    found = wanted.measure(lab)
    value = wanted.value(found.samples)
    return Result(wanted.id, wanted.what, wanted.bar, wanted.unit, value, found.samples, found.detail)


def reason(problem: BaseException) -> str:
    """Why a row could not be measured, in one line."""
    if isinstance(problem, subprocess.CalledProcessError):
        said = f": {last_line(problem.stderr)}" if problem.stderr else ""
        words = problem.cmd if isinstance(problem.cmd, str) else " ".join(map(str, problem.cmd))
        return f"{words} ended with {problem.returncode}{said}"
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    if not lines:
        return type(problem).__name__
    # Of a failed command's text the first line says which, and the last mostly why.
    return lines[0] if len(lines) == 1 else f"{lines[0].rstrip(':')}: {last_line(lines[-1])}"
