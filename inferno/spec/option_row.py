"""The row of a field: how it is asked for, how it is checked, and where it ends up.

Rows stand beside the fields that they describe, in `create_options.Spec`. The options of `create`, the table in docs/,
what a task is up to date by, and whether a change makes a new version are all derived from them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple

# The default of a field that every VM has to be given.
REQUIRED = object()


class Place(StrEnum):
    """Where a field ends up: in a file of a version, in the cgroup of the version's runs, or elsewhere."""

    BASE = "rootfs.img"
    RUN = "run.json"
    FIRECRACKER = "firecracker.json"
    KILN = "kiln.json"
    CGROUP = "cgroup"
    RECORD = "version.json"  # which has all of a version's; this one is read there by those who need it
    START = "start"  # each start reads it from the database
    NOTHING = "nothing"  # it is kept, and shown


_OF_NO_VERSION = frozenset({Place.START, Place.NOTHING})


class Option(NamedTuple):
    """An option of `create`. `kind` is bool for a switch, list for what may be repeated, else what reads the word.

    `bare` is the word that holds when the option is given without one.
    """

    name: str
    long: str
    short: str
    kind: Callable[[str], Any]
    metavar: str
    help: str
    bare: str = ""


class Row(NamedTuple):
    """One field.

    `kind` is the option's, as in Option; None where the field has none. `absent` says what holds when nothing is given
    and there is no default. `bare` is the word that an option without `=WORD` stands for. `opposite` is the option that
    takes a switch back, `file_option` one that names files of further words. `later` is the field that keeps the names
    of these files instead, when its switch is given; there `files_of` is that option.
    `read` makes the value from what was typed: the word, the list of words, or with a `file_option` the words and the
    names of the files. `check` raises UsageError for a value that cannot be used; None, nothing given, is not checked.
    Of NAME=value words that are secret (`is_secret`) nothing but the names is shown.
    `example` is what tests ask for, as a shell would take it: the golden files of tests/contract are what all examples
    together are rendered to.
    """

    help: str
    places: tuple[Place, ...]
    kind: Callable[[str], Any] | None = str
    example: str = ""
    metavar: str = ""
    short: str = ""
    default: Any = None
    absent: str = ""
    bare: str = ""
    opposite: str = ""
    file_option: str = ""
    later: str = ""
    files_of: str = ""
    read: Callable[..., Any] | None = None
    check: Callable[[Any], object] | None = None
    is_secret: bool = False
    name: str = ""  # the field's, filled in by `take_rows`

    def field(self) -> Any:
        """What a field of a NamedTuple is set to, until `take_rows` has taken this row."""
        return self

    @property
    def long(self) -> str:
        return self.name.replace("_", "-")

    @property
    def makes_version(self) -> bool:
        """Whether a change makes a new version."""
        return not _OF_NO_VERSION.issuperset(self.places)

    @property
    def otherwise(self) -> str:
        """What holds when nothing is given; empty where that goes without saying."""
        return self.absent or (str(self.default) if isinstance(self.default, int | str) and self.default else "")

    def options(self) -> list[Option]:
        """The options of `create` that this field has."""
        if self.kind is None:
            return []
        text = f"{self.help} ({self.otherwise})" if self.otherwise else self.help
        again = "; may be repeated" if self.kind is list else ""
        found = [Option(self.name, self.long, self.short, self.kind, self.metavar, text + again, self.bare)]
        if self.file_option:
            found.append(
                Option(_name(self.file_option), self.file_option, "", list, "FILE", f"a file of such lines{again}")
            )
        if self.opposite:
            found.append(Option(_name(self.opposite), self.opposite, "", bool, "", f"takes --{self.long} back"))
        return found

    def asked(self, given: dict[str, Any]) -> Any:
        """The value that the options given ask for; None when they ask for none. Raises UsageError."""
        value = given.get(self.name)
        if self.files_of:
            return self._asked_of_files(given)
        if self.file_option and self.read:
            files = given.get(_name(self.file_option), ())
            if given.get(self.later):
                return self.read(value or (), ()) if value or any(files) else None
            return self.read(value or (), files) if value or files else None
        if self.opposite and given.get(_name(self.opposite)):
            if value:
                raise UsageError(f"--{self.long} and --{self.opposite} exclude each other")
            return False
        return value if value is None or self.read is None else self.read(value)

    def _asked_of_files(self, given: dict[str, Any]) -> Any:
        """Files that are given replace those that were given before, of both kinds."""
        files = given.get(_name(self.files_of))
        if not given.get(self.name):
            return [] if files else None
        if not files or self.read is None:
            hint = f"--{self.files_of} FILE --{self.long}; --{self.files_of} '' --{self.long} takes all back"
            raise UsageError(f"--{self.long} needs --{self.files_of}", hint)
        return self.read(files)


def take_rows(kind: Any) -> tuple[Row, ...]:
    """The rows that the fields of a NamedTuple are set to, in its order; the defaults in the rows take their places."""
    found = tuple(row._replace(name=name) for name, row in kind._field_defaults.items())
    kind._field_defaults = {row.name: row.default for row in found if row.default is not REQUIRED}
    return found


def _name(option: str) -> str:
    return option.replace("-", "_")
