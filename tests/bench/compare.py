"""Two runs of the benchmark side by side, from the file of results.

  make bench-compare                       the last two runs
  make bench-compare RUNS="3 5"            the third and the fifth of the file
  make bench-compare RUNS="-3 -1"          the third from the end, and the last
  make bench-compare RUNS="9c17e65 -1"     the last run of that commit, and the last
  .venv/bin/python -m tests.bench.compare --list     what runs there are

`better` or `worse` stands where a row moved by more than both its ranges (from the lowest to the highest sample of each
run); less is better in every row. Anything else may be what the same code shows from run to run. Runs of two machines
cannot be compared, nor can those of one machine that was busy during one of them: the load when each began is printed.

Exit status: 0 compared; 2 no such run.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import results, table
from tests.bench.place import RESULTS
from tests.bench.results import Run
from tests.bench.row import Result


def main(words: Sequence[str]) -> int:
    options = _parser().parse_args(words)
    try:
        runs, damaged = results.read(options.results)
    except FileNotFoundError:
        print(f"there are no results yet ({options.results}); make bench makes some", file=sys.stderr)
        return 2
    for line in damaged:
        print(f"line {line} of {options.results} is left out: it is damaged", file=sys.stderr)
    if options.list:
        print("\n".join(title(number, run) for number, run in enumerate(runs, 1)))
        return 0
    try:
        pair = choose(options.runs, runs)
    except LookupError as problem:
        print(problem, file=sys.stderr)
        return 2
    print("\n".join(side_by_side(runs, *pair)))
    return 0


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.compare", description=__doc__, formatter_class=formatter, usage="%(prog)s [RUN RUN]"
    )
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="a number as --list shows it, -1 for the last, or a commit"
    )
    parser.add_argument("--list", action="store_true", help="print the runs, the oldest first, and compare nothing")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FILE", help="the file of results; by default %(default)s"
    )
    return parser


def choose(asked: Sequence[str], runs: Sequence[Run]) -> tuple[int, int]:
    """Which two of the runs, by their indexes. Raises LookupError, whose text says what there is."""
    if len(asked) not in {0, 2}:
        raise LookupError(f"two runs can be compared, not {len(asked)}")
    if len(runs) < 2:
        raise LookupError(f"two runs are needed, and there {'is one' if runs else 'is none'}; make bench makes more")
    one, other = asked or ("-2", "-1")
    return _find(one, runs), _find(other, runs)


def _find(asked: str, runs: Sequence[Run]) -> int:
    """A number (from 1, or from -1 backwards), else the start of a commit, whose last run it is."""
    if re.fullmatch(r"-?\d{1,6}", asked):
        number = int(asked)
        if 1 <= abs(number) <= len(runs):
            return number - 1 if number > 0 else len(runs) + number
        raise LookupError(f"there is no run {asked}: there are {len(runs)}")
    found = [
        index for index, run in enumerate(runs) if re.fullmatch("[0-9a-f]{4,}", asked) and run.commit.startswith(asked)
    ]
    if not found:
        raise LookupError(f"there is no run {asked}; --list shows what runs there are")
    return found[-1]


def side_by_side(runs: Sequence[Run], one: int, other: int) -> list[str]:
    """The two runs' titles, what is different about their machines, and a table of all rows of either."""
    first, second = runs[one], runs[other]
    names = [*first.rows, *(name for name in second.rows if name not in first.rows)]
    cells = []
    for name in names:
        before, after = first.rows.get(name), second.rows.get(name)
        cells.append((name, _cell(before), _cell(after), _change(before, after), moved(before, after)))
    lines = [f"A = {title(one + 1, first)}", f"B = {title(other + 1, second)}", *differences(first, second), ""]
    return [*lines, *table.aligned(("row", "A", "B", "B / A", ""), cells)]


def title(number: int, run: Run) -> str:
    """A run in a line: its number, when, of what, and how busy the machine was."""
    commit = (run.commit[:12] or "no commit") + (" and changes" if run.dirty else "")
    failed = f", {len(run.failed)} not measured" if run.failed else ""
    count = f"{len(run.rows)} row{'' if len(run.rows) == 1 else 's'}{failed}"
    return f"run {number}, {run.at}, {commit}, {count}, load {run.machine.get('load', '?')}"


def differences(first: Run, second: Run) -> list[str]:
    """A line for each fact of the machine, its load aside, that is not the same."""
    names = [name for name in {**first.machine, **second.machine} if name != "load"]
    return [
        f"not the same {name}: {first.machine.get(name)} and {second.machine.get(name)}"
        for name in names
        if first.machine.get(name) != second.machine.get(name)
    ]


def _cell(result: Result | None) -> str:
    if result is None:
        return "–"
    spanned = f" ({table.span(result)})" if table.span(result) else ""
    return f"{table.number(result.value)} {result.unit}".strip() + spanned


def _change(before: Result | None, after: Result | None) -> str:
    if before is None or after is None or not before.value or before.unit != after.unit:
        return ""
    return f"{after.value / before.value:.2f}"


def moved(before: Result | None, after: Result | None) -> str:
    """`better` or `worse` when the value moved by more than the range of either run, else nothing."""
    if before is None or after is None or before.unit != after.unit:
        return ""
    by = after.value - before.value
    if abs(by) <= max(before.high - before.low, after.high - after.low):
        return ""
    return "worse" if by > 0 else "better"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
