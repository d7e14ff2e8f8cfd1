"""Bytes by chance for a parser (`tests/parsers.py`), in a process of its own with little memory and time.

An input comes of one that is known, by a few changes; one that ran a line of Inferno's which none ran before it is
known from then on. All of it follows from the seed, so that the same seed gives the same inputs.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
ARTIFACTS = CHECKOUT / "fuzz/artifacts"
MAX_INPUT_BYTES = 64 * 1024
MEMORY_BYTES = 2 << 30  # of addresses: libraries and threads' stacks take most of it
CPU_S_OF_AN_INPUT = 5
_DISTURBING = (
    *(b"", b"\0", b"-", b"-1", b"+1", b"1_0", b"\xff", b"\xff" * 12, b"\x80" + bytes(10), b"\n", b"\r\n\r\n", b"\x1b["),
    *(b"0" * 5000, b"9" * 19, b"9" * 400, b"1e999", b"NaN", b"-Infinity", b"null", b"true", b"[]", b"{}", b'""'),
    *(b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', b'"\\u0000"', b"\xf0\x9f\x92\xa9", b"\xed\xa0\x80", b"../", b"/"),
    *("٣".encode(), "²".encode(), b"18446744073709551616", b"4294967295", b"~x/", b"a" * 300, b".wh.", b".wh..wh..opq"),
)


class Result(NamedTuple):
    """How many inputs were tried, lines of Inferno's were run in all, and inputs were kept for what they ran."""

    tried: int
    lines: int
    known: int


class Lines:
    """The lines of Inferno that were run."""

    def __init__(self) -> None:
        self.seen: set[tuple[CodeType, int]] = set()

    def run(self, take: Callable[[bytes], object], data: bytes) -> bool:
        """Whether the parser ran a new one."""
        before = len(self.seen)
        sys.settrace(self._call)
        try:
            take(data)
        finally:
            sys.settrace(None)
        return len(self.seen) > before

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._line if "/inferno/" in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self.seen.add((frame.f_code, frame.f_lineno))
        return self._line


def mutated(chance: random.Random, known: list[bytes]) -> bytes:
    """An input that is like one of those that are known."""
    data = bytearray(chance.choice(known))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 1, 1, 4, 12, 100, 512)))
        match chance.randrange(7):
            case 0 if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 1:
                data[at:end] = chance.randbytes(end - at)
            case 2:
                data[at:end] = chance.choice(_DISTURBING)
            case 3:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50))
            case 4:
                del data[at:end]
            case 5:
                other = chance.choice(known)
                start = chance.randrange(len(other) + 1)
                data[at:end] = other[start : start + chance.choice((1, 8, 64, 512, 2048))]
            case _:
                del data[at:]
    return bytes(data[:MAX_INPUT_BYTES])


def run(name: str, seed: int, count: int) -> Result:
    """So many inputs for the parser `name`, in another process.

    Raises AssertionError for one that ended in anything but the errors of Inferno's own, or took too much; it lies in
    fuzz/artifacts then.
    """
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTIFACTS / f"{name}-{seed}"
    argv = [sys.executable, "-m", "tests.mutation", name, str(seed), str(count), path]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        ended = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
        raise AssertionError(f"{name}, the input in {path} ended it with {ended}: {done.stderr[-2000:]}")
    path.unlink()
    return Result(*map(int, done.stdout.split()))


def _limit() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 64 << 20),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def main(name: str, seed: int, count: int, path: str) -> None:
    from tests import parsers

    chance, lines = random.Random(f"{name} {seed}"), Lines()
    with parsers.PARSERS[name]() as parser:
        _limit()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        known = list(parser.seeds)
        for number in range(count):
            data = known[number] if number < len(parser.seeds) else parser.repair(mutated(chance, known))
            os.ftruncate(file, 0)
            os.pwrite(file, data, 0)
            signal.setitimer(signal.ITIMER_PROF, CPU_S_OF_AN_INPUT)  # SIGPROF ends the process
            if lines.run(parser.take, data) and number >= len(parser.seeds):
                known.append(data)
            signal.setitimer(signal.ITIMER_PROF, 0)
    print(count, len(lines.seen), len(known) - len(parser.seeds))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
