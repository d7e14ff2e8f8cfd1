"""Runs every bench_*.py beside this file (or those named) and prints one table. Measures; judges nothing.

A bench module has `rows() -> list[Row]`. One that cannot run here says so in one line, and the others go on.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.bench.row import Row


def main(asked: list[str]) -> int:
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    if unknown := set(asked) - set(known):
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    failed = False
    for name in asked or known:
        print(f"measuring: {name} …", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(f"tests.bench.bench_{name}").rows()
        except (Exception, SystemExit) as problem:
            failed = True
            print(f"{name} could not be measured: {problem}", file=sys.stderr)
    print("\n".join(table(rows)))
    return 1 if failed else 0


def table(rows: list[Row]) -> list[str]:
    """A Markdown table, its columns aligned: it is read in terminals and pasted into notes alike."""
    head = ("what", "measured", "bar", "", "detail")
    cells = [(row.what, number(row, row.value), number(row, row.bar), mark(row), row.detail) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [head, tuple("-" * width for width in widths), *cells]
    return ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]


def number(row: Row, value: float) -> str:
    text = f"{value:.0f}" if value == int(value) and row.unit else f"{value:.2f}"
    return f"{text} {row.unit}".strip()


def mark(row: Row) -> str:
    return "ok" if row.value <= row.bar else "over"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
