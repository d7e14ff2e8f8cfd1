"""Results as a Markdown table, its columns aligned: it is read in terminals and pasted into notes alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.row import Result

WIDE = "wide range"
EXPLAINED = f"{WIDE}: from lowest to highest is over a quarter of the value. Measure again while less else runs here."


def results(rows: Iterable[Result]) -> list[str]:
    """The table of one run, and below it what its words mean."""
    rows = list(rows)
    head = ("row", "what", "measured", "range", "of", "bar", "", "detail")
    lines = aligned(head, [_cells(each) for each in rows])
    return [*lines, "", EXPLAINED] if any(each.wide for each in rows) else lines


def _cells(result: Result) -> tuple[str, ...]:
    return (
        result.id,
        result.what,
        f"{number(result.value)} {result.unit}".strip(),
        span(result),
        str(len(result.samples)),
        f"{number(result.bar)} {result.unit}".strip(),
        mark(result),
        result.detail,
    )


def said(result: Result) -> str:
    """One result in a few words, for the progress."""
    return f"{number(result.value)} {result.unit}".strip() + f" ({span(result) or 'exact'}), {mark(result)}"


def mark(result: Result) -> str:
    """Whether the value is within its bar, and whether its range says that it may be luck."""
    said = "ok" if result.value <= result.bar else "over"
    return f"{said}, {WIDE}" if result.wide else said


def span(result: Result) -> str:
    """From the lowest to the highest sample; nothing for what was looked at once."""
    return f"{number(result.low)}–{number(result.high)}" if len(result.samples) > 1 else ""


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.2f}"


def aligned(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [head, ["-" * width for width in widths], *cells]
    return ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
