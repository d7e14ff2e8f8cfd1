"""A row of the table of settings (inferno/settings.py): what it says, and how its text is read."""

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple


class Counts(StrEnum):
    """When a change of a setting counts."""

    VERSION = "the next version"  # it is an input: create makes a new one
    START = "the next start"
    IMAGE = "the next image"  # that is fetched, or made into a base
    LOGS = "the next line"  # of a log
    ARTIFACT = "another artifact"  # it says where they come from; their content is the input
    PLACE = "at once"  # it says where all of this is


class Setting(NamedTuple):
    """A row: the variable, when a change of it counts, what docs say of it, what holds without it, and what it may be.

    `default` may be a function of all variables and the settings in the rows above; then `shown` is what docs have.
    `each` says of each of several words whether it is an address.
    `of_file` says that it is read from the settings file alone, since root trusts that and no environment.
    """

    name: str
    counts: Counts
    doc: str
    default: Any = None
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    shown: str = ""
    of_file: bool = False
    each: Callable[[str], bool] | None = None


def _path(row: Setting, text: str) -> Path:
    try:
        return Path(os.path.abspath(os.path.expanduser(text)))
    except FileNotFoundError:
        raise UsageError(f"{row.name}={text}: the folder this runs in is gone", "cd to another") from None


def _number(row: Setting, text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else row.low - 1
    if not row.low <= number <= row.high:
        raise _refused(row, text, f"a number from {row.low} to {row.high}")
    return number


def _word(row: Setting, text: str) -> str:
    if not row.choices:
        return text
    if text.lower() not in row.choices:
        raise _refused(row, text, f"{', '.join(row.choices[:-1])} or {row.choices[-1]}")
    return text.lower()


def _words(row: Setting, text: str) -> tuple[str, ...]:
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if row.each and not all(map(row.each, found)):
        raise _refused(row, text, "an IPv4 address, or several by comma")
    return found


def _refused(row: Setting, text: str, wanted: str) -> UsageError:
    return UsageError(f"{row.name}={text!r} is not {wanted}", f"unset {row.name} or correct it")


READERS: dict[Any, Callable[[Setting, str], Any]] = {
    Path: _path,
    Path | None: _path,
    int: _number,
    int | None: _number,
    str: _word,
    tuple[str, ...]: _words,
}
