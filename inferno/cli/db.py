"""`infernoctl db`: what the database holds, as a table, as CSV or as JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence

from inferno.base.errors import InfernoError, UsageError
from inferno.base.requirements import need_root
from inferno.base.text import visible
from inferno.console.answer import print_json
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.settings import load_settings
from inferno.state import query
from inferno.state.paths import Paths
from inferno.state.query import Answer


def tables(typed: Typed) -> int:
    found = query.tables(load_settings().db_path)
    if typed.flag("json"):
        print_json(found)
        return 0
    rows = [(table.name, table.type, table.rows, " ".join(table.columns)) for table in found]
    return _print(typed, Answer(["name", "type", "rows", "columns"], rows))


def run_query(typed: Typed) -> int:
    [sql] = typed.operands
    return _print(typed, query.answer(load_settings().db_path, sql))


def rebuild(_typed: Typed) -> int:
    """Status 1 when a VM that lies on the disk is still not in the database."""
    need_root()
    settings = load_settings()
    from inferno.state import guard, rebuild

    guard.prepare(settings)
    done = rebuild.rebuild(Paths(settings.root), settings.db_path)
    if done.aside:
        say(f"the damaged database is {done.aside} now")
    for name in done.added:
        print(visible(f"{name} is back"))
    for problem in done.problems:
        say(visible(f"not restored: {problem}"))
    if done.problems:
        counted = (
            f"{len(done.problems)} of {len(done.problems) + len(done.added) + len(done.known)} VMs are not restored"
        )
        raise InfernoError(counted, "infernoctl destroy NAME, of one that is not wanted, or create NAME; then again")
    if not done.added:
        say(f"the database lacks nothing that lies in {settings.root}")
    return 0


def _print(typed: Typed, answer: Answer) -> int:
    as_json, as_csv = typed.flag("json"), typed.flag("csv")
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    if as_json:
        print_json([_named(answer.columns, row) for row in answer.rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        print_table([_named(answer.columns, row) for row in answer.rows], tuple(answer.columns))
    return 0


def _named(columns: Sequence[str], row: Sequence[query.Value]) -> dict[str, query.Value]:
    return dict(zip(columns, row, strict=True))
