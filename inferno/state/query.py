"""Reading inferno.db for people: any query, but nothing is changed, and no value of an environment variable is shown.

The file is opened read-only. SQLite asks `_Guard` about each table, column, function and pragma while it prepares a
query, before it reads anything; what is not known to be harmless is refused.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inferno.base.errors import UsageError
from inferno.state.database import State
from inferno.state.sqlite_file import open_readonly

if TYPE_CHECKING:
    from sqlite_utils import Database

# Read by no query; each with where to find what is not secret of it.
SECRET = {("machines", "env"): "the view specs has the names of environment variables, without their values"}
# Of SQLite itself, beside the file's own tables and views: they hold nothing of it but its schema.
_BUILT_IN = frozenset({"sqlite_master", "sqlite_schema", "json_each", "json_tree"})
_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "user_version"})
_ABOUT_A_TABLE = _PRAGMAS - {"user_version"}
_FORBIDDEN = frozenset({"load_extension", "fts3_tokenizer"})  # they take or give addresses of code
# SQLite makes such a table at its first use, by statements that a reader may not give.
_MADE_AT_FIRST_USE = ("json_each('[]')", "json_tree('[]')", *(f"pragma_{each}" for each in sorted(_ABOUT_A_TABLE)))
_STEPS_BETWEEN_SIGNALS = 10_000  # of SQLite's virtual machine: well below a millisecond

Value = str | int | float | None


class Table(NamedTuple):
    """`type` is table or view."""

    name: str
    type: str
    rows: int
    columns: list[str]


class Answer(NamedTuple):
    """The names of the columns, each only once (a second `name` is `name_2`), and the rows."""

    columns: list[str]
    rows: Sequence[tuple[Value, ...]]


def tables(path: Path) -> list[Table]:
    """What there is to ask. Raises as `answer` does."""
    with _opened(path) as (utils, _):
        return [
            Table(each.name, kind, each.count, [column.name for column in each.columns])
            for kind, found in (("table", utils.tables), ("view", utils.views))
            for each in found
        ]


def answer(path: Path, sql: str) -> Answer:
    """Run one query. A blob is shown in hex; a number that JSON has no word for is None.

    Raises UsageError when there is no database, or for SQL that is wrong, that would change something, or that asks
    for a secret; KeyboardInterrupt when a signal came meanwhile.
    """
    from sqlite_utils.utils import dedupe_keys

    with _opened(path) as (utils, guard):
        try:
            cursor = utils.execute(sql)
            if cursor.description is None:
                raise UsageError("that SQL asks for nothing", "infernoctl db query 'select * from vms'")
            rows = [tuple(map(_shown, row)) for row in cursor]
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise guard.explained(error) from None
        return Answer(list(dedupe_keys(column[0] for column in cursor.description)), rows)


def _shown(value: object) -> Value:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) or value is None else str(value)


class _Guard:
    """Says what a query may do. Its method `allows` is SQLite's authorizer: one call per thing that is touched."""

    def __init__(self, db: sqlite3.Connection) -> None:
        for table in _MADE_AT_FIRST_USE:
            db.execute(f"select 1 from {table} limit 0")
        own = (name for (name,) in db.execute("select name from sqlite_master"))
        self._readable = {*_BUILT_IN, *(f"pragma_{each}" for each in _ABOUT_A_TABLE), *own}
        self._refused: UsageError | None = None

    def allows(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        refusal = self._refusal(action, first or "", second or "")
        self._refused = self._refused or refusal
        return sqlite3.SQLITE_DENY if refusal else sqlite3.SQLITE_OK

    def _refusal(self, action: int, first: str, second: str) -> UsageError | None:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_SAVEPOINT):
            return None
        if action == sqlite3.SQLITE_FUNCTION and second not in _FORBIDDEN:
            return None
        if action == sqlite3.SQLITE_READ and not second:  # its rows are counted; what `with` names is told of only so
            return None
        if action == sqlite3.SQLITE_READ and first in self._readable:
            hint = SECRET.get((first, second))
            return UsageError(f"{first}.{second} holds secrets: infernoctl db does not read it", hint) if hint else None
        if action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS and (first in _ABOUT_A_TABLE or not second):
            return None
        if action == sqlite3.SQLITE_READ:
            return UsageError(f"infernoctl db does not read {first}", "infernoctl db tables")
        return UsageError("infernoctl db only reads", "infernoctl db query 'select * from vms'")

    def explained(self, error: Exception) -> BaseException:
        """SQLite's error as one line; of a refusal it says only that there was one."""
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            return KeyboardInterrupt()
        return self._refused or UsageError(f"SQL: {error}", "infernoctl db tables")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Database, _Guard]]:
    from sqlite_utils import Database

    if not path.exists():
        raise UsageError(f"{path} does not exist", "create makes it; a lost one: infernoctl db rebuild")
    State(path).close()  # of an older schema it is changed first, and a newer one is refused
    with contextlib.closing(open_readonly(path)) as db:
        guard = _Guard(db)
        utils = Database(db, recursive_triggers=False, execute_plugins=False)
        db.set_authorizer(guard.allows)
        # Python sees a signal only between calls of its own: a query may go on for ever.
        db.set_progress_handler(lambda: 0, _STEPS_BETWEEN_SIGNALS)
        yield utils, guard
