"""How everything here is measured: pairs taken in turn, and what is made of them. Nothing else times commands.

A ratio is taken from pairs: ours, theirs, ours, theirs, at least five times. Each pair gives one ratio, of two runs
that were neighbours in time, so what else the machine did fell on both. The value is the median of these ratios, and
the range goes from the lowest to the highest. One pair before them is not counted: it fills the caches. What was
written until then is on the disk before the first pair that counts, so that no sample waits for it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LEAST = 5  # samples of what can vary
# Settings of the person who measures would be measured too.
_SETTINGS = ("INFERNO_", "DOIT_", "DB_PATH", "VG_NAME", "ROOTFS_SIZE_MB", "LOG_LEVEL")
_SAID = 300  # characters of a failed command's last line


class BenchError(Exception):
    """A row cannot be measured; the text is one line that says why."""


class Spent(NamedTuple):
    """What one run took, in seconds: by the clock, and of processors where that is known."""

    wall: float
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row's function returns: the samples, in the order taken and in the row's unit, and a remark."""

    samples: tuple[float, ...]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The runs of two sides, taken in turn: the nth of `ours` ran next to the nth of `theirs`."""

    ours: tuple[Spent, ...]
    theirs: tuple[Spent, ...]

    def ratios(self) -> tuple[float, ...]:
        """Ours by theirs, pair by pair, by the clock. Raises BenchError for fewer than LEAST pairs."""
        if len(self.ours) != len(self.theirs):
            raise BenchError(f"{len(self.ours)} samples of one side and {len(self.theirs)} of the other are not pairs")
        _enough(len(self.ours))
        return tuple(one.wall / other.wall for one, other in zip(self.ours, self.theirs, strict=True))

    def measured(self, more: str = "") -> Measured:
        """The ratios; the remark has the medians of both sides, and the same of processor time with its ratio."""
        ours, theirs = ([each.wall for each in side] for side in (self.ours, self.theirs))
        return Measured(self.ratios(), f"{_medians([ours, theirs])}{self._processors()}{more}")

    def _processors(self) -> str:
        ours, theirs = ([each.cpu for each in side if each.cpu is not None] for side in (self.ours, self.theirs))
        if not ours or not theirs or not min(theirs):
            return ""
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        spanned = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        return f"; of processors {_medians([ours, theirs])}, {spanned}"


def _medians(sides: Sequence[Sequence[float]]) -> str:
    """Of seconds of both sides, as text."""
    return " / ".join(f"{s:.2f} s" if s >= 1 else f"{s * 1000:.0f} ms" for s in map(statistics.median, sides))


def walls(ours: Sequence[float], theirs: Sequence[float]) -> Pairs:
    """Pairs of seconds that were taken elsewhere, in turn."""
    return Pairs(tuple(map(Spent, ours)), tuple(map(Spent, theirs)))


def exact(value: float, detail: str = "") -> Measured:
    """What is the same at every look: the size of a file, say."""
    return Measured((value,), detail)


def several(samples: Sequence[float], detail: str = "") -> Measured:
    """Samples of what can vary. Raises BenchError for fewer than LEAST."""
    _enough(len(samples))
    return Measured(tuple(samples), detail)


def _enough(count: int) -> None:
    if count < LEAST:
        raise BenchError(f"{count} samples are too few: at least {LEAST}")


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a pair. `work` is timed; what is to be prepared `before` and removed `after` each run is not."""

    work: Callable[[], object]
    before: Callable[[], object] = _nothing
    after: Callable[[], object] = _nothing


def _cpu_of_children() -> float:
    """Processor time of the children that were waited for, and of theirs, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times work. Unit tests give it a clock of their own."""

    now: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = _cpu_of_children
    settle: Callable[[], object] = os.sync

    def spent(self, side: Side) -> Spent:
        """Run one side once, with what comes before and after it."""
        side.before()
        try:
            cpu, began = self.cpu(), self.now()
            side.work()
            ended = self.now()
            spent = Spent(ended - began, self.cpu() - cpu)
        except BaseException:
            with contextlib.suppress(Exception):  # it may have nothing to remove; the work's failure is the reason
                side.after()
            raise
        side.after()
        return spent

    def pairs(self, ours: Side, theirs: Side, count: int = 9) -> Pairs:
        """`count` pairs in turn, after one that is not counted."""
        self.spent(ours), self.spent(theirs)
        self.settle()
        taken = [(self.spent(ours), self.spent(theirs)) for _ in range(count)]
        return Pairs(tuple(one for one, _ in taken), tuple(other for _, other in taken))

    def samples(self, side: Side, count: int = LEAST) -> list[Spent]:
        """`count` runs of what is compared with nothing, after one that is not counted."""
        self.spent(side)
        self.settle()
        return [self.spent(side) for _ in range(count)]


def environment(**more: str | Path) -> dict[str, str]:
    """What commands are measured in: this environment without the settings of the person who measures.

    With PYTHONDONTWRITEBYTECODE, which some CI sets, every command would compile Inferno anew, and only Inferno.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {name: str(value) for name, value in more.items()}


def run(argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """A command's output. Raises BenchError when it cannot be started or fails, with the last line that it said."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, env=env or environment(), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise BenchError(f"{words[0]} is not installed") from None
    if done.returncode:
        raise BenchError(f"{' '.join(words)} ended with {done.returncode}: {last_line(done.stderr)}")
    return done.stdout.decode(errors="replace")


def command(argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Side:
    """A side that is one command, which must succeed."""
    return Side(lambda: run(argv, env, cwd))


def last_line(said: bytes | str) -> str:
    """The last line that is neither blank nor a hint, shortened: in what a failed command said, mostly the reason."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return lines[-1][:_SAID] if lines else "it said nothing"
