"""What a row of the table of settings says (inferno/settings.py)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple


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
