"""Tables for people: aligned columns on standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferno.base.text import visible


def print_table(rows: Sequence[Mapping[str, object]], columns: tuple[str, ...]) -> None:
    """Rows of the named columns, aligned, with a head."""
    cells = [[visible(column.upper()) for column in columns]]
    cells += [["-" if row.get(c) is None else visible(str(row[c])) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
