"""A pytest plugin: the ledger of time, printed just before pytest's closing line.

    pytest -p tests.ledger --ledger FILE

It says where the time went: the steps before pytest, each test file, the rigs that began, the ten slowest tests.
FILE is where tools/steps.sh and rig/boots.py append a line each: tabs between, times in seconds since 1970.

    step  BEGAN  ENDED  COMMAND
    rig   BEGAN  ENDED  HOW     TEST-FILE
"""

from __future__ import annotations

import os
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rig.boots import LEDGER

SLOWEST = 10
SHORT_S = 3.0  # files below it share their lines
WIDTH = 118


@dataclass(frozen=True)
class Noted:
    """A line of the file: a step by its command, or a rig by how it came up and for which test file."""

    kind: str
    began: float
    ended: float
    what: str
    where: str = ""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Ledger:
    """What was measured. `tests` has the seconds of each phase (setup, call, teardown) by test."""

    noted: list[Noted] = field(default_factory=list)
    tests: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    began: float = field(default_factory=time.time)

    def lines(self, now: float) -> Iterator[str]:
        """The ledger as text, at the time `now`."""
        steps = [each for each in self.noted if each.kind == "step"]
        rigs = [each for each in self.noted if each.kind == "rig"]
        total = now - min([self.began, *(step.began for step in steps)])
        parts = [*(f"{short(step.what)} {step.seconds:.1f}" for step in steps), f"pytest {now - self.began:.1f}"]
        yield from wrapped(f"total {clock(total)}; seconds of each step: ", parts)
        ways = Counter(rig.what for rig in rigs)
        spent = f", in {sum(rig.seconds for rig in rigs):.1f} s" if rigs else ""
        yield f"rigs: {', '.join(f'{n} {way}' for way, n in sorted(ways.items())) or 'none'}{spent}"
        yield from self._files(Counter(rig.where for rig in rigs))
        yield "slowest tests, their setup included:"
        seconds = {test: sum(phases.values()) for test, phases in self.tests.items()}
        for test in sorted(seconds, key=lambda test: -seconds[test])[:SLOWEST]:
            yield f"{seconds[test]:8.1f} s  {test} (setup {self.tests[test]['setup']:.1f})"

    def _files(self, rigs: Counter[str]) -> Iterator[str]:
        seconds: Counter[str] = Counter()
        for test, phases in self.tests.items():
            seconds[test.partition("::")[0]] += sum(phases.values())
        yield "test files, by the seconds of their tests:"
        short_ones = []
        for file, spent in seconds.most_common():
            if spent < SHORT_S and not rigs[file]:
                short_ones.append(f"{Path(file).stem.removeprefix('test_')} {spent:.1f}")
                continue
            yield f"{spent:8.1f} s  {file}{f' (rigs: {rigs[file]})' if rigs[file] else ''}"
        if short_ones:
            yield from wrapped(f"         {len(short_ones)} below {SHORT_S:.0f} s: ", short_ones)


def read(path: Path) -> list[Noted]:
    """The file's lines. Raises ValueError for one that is neither a step nor a rig."""
    found = []
    for line in path.read_text().splitlines():
        kind, began, ended, what, *where = line.split("\t")
        if kind not in ("step", "rig"):
            raise ValueError(f"{path}: {line!r} is neither a step nor a rig")
        found.append(Noted(kind, float(began), float(ended), what, *where))
    return found


def short(command: str) -> str:
    """The program and its verb: of `.venv/bin/ruff check --quiet .` it is `ruff check`."""
    program, *words = command.split()
    verb = words[0] if words and words[0].isalpha() else ""
    return f"{Path(program).name} {verb}".strip()


def clock(seconds: float) -> str:
    """`83 s`, or `23 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes > 1 else f"{round(seconds)} s"


def wrapped(head: str, parts: list[str]) -> list[str]:
    """The parts behind the head, with commas; what does not fit in the line goes on below, indented."""
    whole = [part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts]
    lines = textwrap.wrap(head + ", ".join(whole), WIDTH, subsequent_indent="           ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


class Keeper:
    """Collects in the one process that reports, and prints at the end."""

    def __init__(self, path: Path) -> None:
        self.path, self.ledger = path, Ledger()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ledger.tests[report.nodeid][report.when or ""] += report.duration

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside pytest's own: after the list of what failed
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
        yield
        self.ledger.noted = read(self.path)
        terminalreporter.section("the ledger of time")
        for line in self.ledger.lines(time.time()):
            terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ledger", type=Path, metavar="FILE", help="print where the time went; FILE has what came before")


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("ledger")
    if path and not hasattr(config, "workerinput"):  # a worker of xdist reports to the process that prints
        path.touch()
        os.environ[LEDGER] = str(path.absolute())
        config.pluginmanager.register(Keeper(path.absolute()), "ledger-keeper")
