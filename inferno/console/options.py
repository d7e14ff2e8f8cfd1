"""Task options: read from the same tables by `doit verb:NAME --opt`, by `infernoctl verb NAME --opt`, and by --help.

A table row is what doit's CmdOption takes: name, long, short, type, default, help.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable
from typing import Any

from inferno.base.errors import UsageError
from inferno.console import suggest

Table = list[dict[str, Any]]


def row(
    name: str,
    text: str,
    kind: Callable[[str], Any] = str,
    metavar: str | None = None,
    *,
    long: str | None = None,
    short: str = "",
) -> dict[str, Any]:
    """A row of a table; an option of kind list may be repeated, one that is not given is None.

    `long` is what is typed, where that differs from the name.
    """
    default: Any = [] if kind is list else False if kind is bool else None
    made = {"name": name, "long": long or name, "short": short, "type": kind, "default": default, "help": text}
    return {**made, "metavar": metavar} if metavar else made


# What every verb takes.
QUIET = row("quiet", "say nothing but errors and the result", bool, short="q")


def parse(task: str, table: Table, words: list[str], *, mixed: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Read options from the front of `words`; with `mixed`, from between other words too.

    Returns what was given (nothing for what was not), and the words that are no options.
    Raises UsageError: one line, with a guess for a misspelt option.
    """
    long = [row["long"] + ("" if row.get("type") is bool else "=") for row in table]
    short = "".join(row["short"] + ("" if row.get("type") is bool else ":") for row in table if row.get("short"))
    try:
        found, rest = (getopt.gnu_getopt if mixed else getopt.getopt)(words, short, long)
    except getopt.GetoptError as error:
        raise suggest.option(task, error, [row["long"] for row in table]) from None
    given: dict[str, Any] = {}
    for flag, text in found:
        row = next(r for r in table if flag in (f"--{r['long']}", f"-{r.get('short')}"))
        kind = row.get("type", str)
        if kind is bool:
            given[row["name"]] = True
        elif kind is list:
            given.setdefault(row["name"], []).append(text)
        else:
            given[row["name"]] = _convert(task, row["long"], kind, text)
    return given, rest


def _convert(task: str, option: str, kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{task}: --{option} {text!r} is not a number") from None


def describe(table: Table) -> str:
    """The options as --help shows them."""
    lines = []
    for row in table:
        value = "" if row.get("type") is bool else f" {row.get('metavar', row['long'].upper())}"
        flag = f"-{row['short']}, " if row.get("short") else ""
        left = f"{flag}--{row['long']}{value}"
        lines += [f"  {left:<26} {row.get('help', '')}"] if len(left) <= 26 else [f"  {left}", f"{'':<29}{row['help']}"]
    return "\n".join(lines)
