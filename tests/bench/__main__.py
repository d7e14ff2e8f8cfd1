"""Measures Inferno on this machine and prints one table. It judges nothing: a bar that is exceeded fails nothing.

  make bench                    every row; half an hour, or more where the rig is emulated
  make bench list noop-create   these rows; --list shows what there is
  make bench-compare            the last two runs side by side

A ratio has Inferno on its left. On its right it has what one would have without Inferno: the same work typed by hand,
or an empty Python. The two run in turn, at least five times each. The table has the median of the pairs' ratios, the
range from the lowest pair to the highest, and how many pairs there were. Less is better in every row. `over` stands
where the value is above its bar, `wide range` where the range is over a quarter of the value: do not build on such a
number.

Each run adds a line to the file of results, which make bench-compare reads. Most rows need root; those of images need
skopeo and 4 GiB of free memory; boot, start, stop and kiln-memory need the rig. A row that cannot be measured says why
in one line, and the others go on.

Exit status: 0 all rows were measured; 1 one could not be; 2 no such row; 130 and 143 ended by SIGINT and SIGTERM: what
was measured until then is printed and kept.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import results, row, table
from tests.bench.place import RESULTS
from tests.bench.row import Lab, Row


class Ended(BaseException):
    """A signal asks for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(words: Sequence[str], known: dict[str, Row] | None = None) -> int:
    """`known` is what rows there are; by default all."""
    options = _parser().parse_args(words)
    rows = row.rows() if known is None else known
    if options.list:
        print("\n".join(f"{each.id:20} {each.what}" for each in rows.values()))
        return 0
    try:
        chosen = choose(options.rows, rows)
    except LookupError as problem:
        print(problem, file=sys.stderr)
        return 2
    run = results.begin()
    try:
        measure_all(chosen, run)
    except Ended as end:
        _keep(run, options.results)
        return 128 + end.number
    return 0 if _keep(run, options.results) and not run.failed else 1


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=formatter, usage="%(prog)s [ROW ...]"
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="what to measure; nothing: all")
    parser.add_argument("--list", action="store_true", help="print the rows and what they are, and measure nothing")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FILE", help="where results are added; by default %(default)s"
    )
    return parser


def choose(asked: Sequence[str], known: dict[str, Row]) -> list[Row]:
    """The rows asked for, each once, in the order of the table. Raises LookupError, which lists what there is."""
    if unknown := [name for name in dict.fromkeys(asked) if name not in known]:
        raise LookupError(f"no such row: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [each for each in known.values() if not asked or each.id in asked]


def measure_all(chosen: Sequence[Row], run: results.Run) -> None:
    """Fills `run.rows` and `run.failed`. The rows of one module share a lab, which goes before the next module."""
    done = 0
    for _, group in itertools.groupby(chosen, key=lambda each: each.measure.__module__):
        with contextlib.closing(Lab()) as lab:
            for each in group:
                done += 1
                say(f"{done} of {len(chosen)}, {each.id}: {each.what}")
                _measure(each, lab, run)


def _measure(wanted: Row, lab: Lab, run: results.Run) -> None:
    try:
        found = row.measure(wanted, lab)
    except Exception as problem:  # of any kind: the other rows go on
        run.failed[wanted.id] = row.reason(problem)
        say(f"  {wanted.id} could not be measured: {run.failed[wanted.id]}")
        return
    run.rows[wanted.id] = found
    say(f"  {table.said(found)}")


def _keep(run: results.Run, path: Path) -> bool:
    """Print what was measured and add it to the file of results; whether that could be done."""
    lines = table.results(run.rows.values()) if run.rows else []
    for line in [*lines, *(f"{name} could not be measured: {why}" for name, why in run.failed.items())]:
        print(line)
    if not run.rows and not run.failed:
        return True
    try:
        results.append(run, path)
    except OSError as problem:
        say(f"the results could not be kept: {problem}")
        return False
    return True


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _end(number: int, _frame: object) -> None:
    raise Ended(number)


if __name__ == "__main__":
    # What rows mounted, started and wrote goes with them; nohup's SIGHUP stays ignored.
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signal_number) is not signal.SIG_IGN:
            signal.signal(signal_number, _end)
    sys.exit(main(sys.argv[1:]))
