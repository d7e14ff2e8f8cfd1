"""A lost or damaged inferno.db, made again from what lies beside the VMs' files (`vm_record`).

What the database still knows stays; what it lacks is added, each VM under its own lock. Nothing is guessed: two VMs
that claim one slot both stay out until one of them is gone. A damaged file is moved aside, never deleted. Killed at
any instant, it can be asked for again.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from inferno.base import files, records
from inferno.base.errors import InfernoError
from inferno.state import sqlite_file, vm_record
from inferno.state.database import State, VmRow
from inferno.state.migrations import SCHEMA_VERSION
from inferno.state.paths import Paths
from inferno.state.vm_record import VmRecord


class Rebuilt(NamedTuple):
    """Names of VMs that were added and that were known already; a line for each that was not added, and why; where the
    damaged file is now, if it was damaged."""

    added: list[str]
    known: list[str]
    problems: list[str]
    aside: Path | None


def rebuild(paths: Paths, database: Path) -> Rebuilt:
    """Add every VM that has a record and no row. Raises UsageError when the file is of a newer Inferno's."""
    with files.lock(paths.lock("db-rebuild"), "db rebuild"):
        aside = _put_aside(database) if is_damaged(database) else None
        found, problems = _records(paths)
        with contextlib.closing(State(database)) as state:
            rows = {record.name: state.vm(record.name) for record in found}
            result = Rebuilt([], [name for name, row in rows.items() if row and row.version], problems, aside)
            for record in found:
                if record.name not in result.known:
                    _add(paths, state, record, found, result)
    return result


def is_damaged(database: Path) -> bool:
    """Whether SQLite cannot read all of the file; one that is missing is not damaged. Raises InfernoError."""
    if not database.exists():
        return False
    if not database.stat().st_size:  # SQLite would delete the log beside it at once
        return True
    try:
        # Read-only: SQLite deletes a log that it cannot use when it closes a file that it may write.
        with contextlib.closing(sqlite_file.connect(database, "mode=ro")) as db:
            schema = db.execute("pragma user_version").fetchone()[0]
            if schema > SCHEMA_VERSION:
                return False  # that is said by `State`
            return bool(schema == 0 or db.execute("pragma integrity_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return True
        raise sqlite_file.explanation(database, error) from None


def _put_aside(database: Path) -> Path:
    """Rename the file and its log. The log goes first: beside a new file of the same name SQLite would apply it."""
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = database.with_name(f"{database.name}.damaged-{time}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{database}{suffix}", f"{aside}{suffix}")
    files.sync(database.parent)
    return aside


def _records(paths: Paths) -> tuple[list[VmRecord], list[str]]:
    """Those that can be read, and what is wrong with the others."""
    found, problems = [], []
    for path in vm_record.files(paths):
        try:
            record = vm_record.read(path)
        except FileNotFoundError:  # it was destroyed just now
            continue
        except (records.BadRecordError, InfernoError, OSError) as error:
            problems.append(f"{path.parent.name}: {error}")
            continue
        if record.name == path.parent.name:
            found.append(record)
        else:
            problems.append(f"{path.parent.name}: {path} is about another VM, {record.name}")
    return found, problems


def _add(paths: Paths, state: State, record: VmRecord, found: list[VmRecord], result: Rebuilt) -> None:
    """Add one VM, or say why not."""
    name, slot = record.name, record.slot
    claims = defaultdict(list)
    for each in found:
        claims[each.slot].append(each.name)
    owner = state.vm_at(slot)
    if owner is not None and owner.name != name:
        result.problems.append(f"{name}: its slot {slot} is {owner.name}'s in the database")
        return
    if len(claims[slot]) > 1:
        others = ", ".join(other for other in claims[slot] if other != name)
        result.problems.append(f"{name}: its slot {slot} is also that of {others}, by what lies on the disk")
        return
    with files.lock(paths.vm_lock(name), "db rebuild"):
        try:
            now = vm_record.read(paths.vm_record(name))
        except FileNotFoundError:
            return
        row = VmRow(name, now.slot, records.plain(now.spec), now.version, now.created_at)
        if now.slot == slot and state.restore(row):
            result.added.append(name)
        else:
            result.problems.append(f"{name}: a create of it that did not end has its name in the database")
