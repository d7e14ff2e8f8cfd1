"""The tally of a soak: a file that outlives its sittings, a line of JSON per trial, on the disk before the next begins.

It is $XDG_CACHE_HOME/inferno/soak/NAME.ndjson. Deleting it begins anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed"]


@dataclass(frozen=True)
class Trial:
    """A line: the trial's number from 1, what it was made from, how it ended, in words, and of which commit."""

    trial: int
    seed: int
    outcome: Outcome
    detail: str
    commit: str
    seconds: float


class InUseError(Exception):
    """Another sitting of the same soak is going on."""


class Tally:
    """All trials so far, and those to come. Holds the file locked until closed. Raises InUseError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise InUseError(f"{path} is in use: another sitting of this soak goes on") from None
        # What stands behind the last end of a line was not finished when the machine was lost.
        self._file.truncate(path.read_bytes().rfind(b"\n") + 1)
        self.trials = read(path)

    def add(self, seed: int, outcome: Outcome, detail: str, commit: str, seconds: float) -> Trial:
        """Append the next trial; it is on the disk when this returns."""
        trial = Trial(len(self.trials) + 1, seed, outcome, detail, commit, round(seconds, 1))
        self._file.write(json.dumps(asdict(trial)).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.trials.append(trial)
        return trial

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read(path: Path) -> list[Trial]:
    """The finished lines of a tally; none when there is no file. Raises ValueError for what is not a trial."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    try:
        return [Trial(**json.loads(line)) for line in whole.splitlines()]
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{path}: {problem}") from None


def failures(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.outcome == "failed"]


def summary(trials: list[Trial]) -> str:
    """`12 tried, 11 passed, 1 failed; seeds of failures: 77 (at 1f2e3d4)`."""
    failed = failures(trials)
    text = f"{len(trials)} tried, {len(trials) - len(failed)} passed, {len(failed)} failed"
    seeds = ", ".join(f"{trial.seed} (at {trial.commit})" for trial in failed)
    return f"{text}; seeds of failures: {seeds}" if seeds else text


def file_of(name: str) -> Path:
    """Where the tally of a soak is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "inferno" / "soak" / f"{name}.ndjson"
