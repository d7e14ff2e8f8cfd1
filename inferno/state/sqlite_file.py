"""Opening an SQLite file of Inferno's: it is made complete when it is missing, and changed when its schema is older.

A schema is a list of steps: step n changes a file of schema n into one of schema n+1, and a new file is one that took
all of them. The file says in `pragma user_version` which schema it has.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError

# Runs in an open transaction; it neither commits nor sets user_version.
Step = Callable[[sqlite3.Connection], None]
_HINT = "is it an Inferno database, on a disk with room?"
_TIMEOUT_S = 30  # for another process's transaction: the longest is a change of schema, of milliseconds


def open_database(path: Path, steps: Sequence[Step], hint: str = _HINT) -> sqlite3.Connection:
    """Open the SQLite file with the schema that `steps` lead to; `hint` is for one that cannot be read.

    A new one is made complete under another name first: `pragma journal_mode=wal` on a new file ignores the busy
    timeout, so two first users would fail with "database is locked". An older one is copied to a file
    beside it, then changed, one transaction per step.

    On a full disk it can only be read: SQLite needs room for its index of the log. What frees the disk reads it.

    Raises InfernoError when the file was made by a newer Inferno, or cannot be read; PermissionError when another
    user may.
    """
    with explained(path, hint):
        if not path.exists():
            _make_missing(path, steps)
        if not os.access(path, os.R_OK | os.W_OK):  # SQLite says the same of this and of a damaged file
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        db, found = _connect(path)
        try:
            _check(path, found, len(steps))
            if found < len(steps):
                _upgrade(db, path, steps)
            db.execute("pragma foreign_keys = on")
            db.execute("pragma synchronous = normal")
        except BaseException:
            db.close()
            raise
    return db


def _make_missing(path: Path, steps: Sequence[Step]) -> None:
    try:
        make_database(path, steps)
    except OSError as error:
        if isinstance(error, PermissionError) or files.is_full(error):
            raise
        hint = "INFERNO_ROOT, or DB_PATH, says where: infernoctl env"
        raise UsageError(f"{path} cannot be made: {error.strerror}", hint) from None


def make_database(path: Path, steps: Sequence[Step]) -> None:
    """Make a new file, unless another process did so first: its file is as good. Raises OSError."""
    with files.temporary_folder(path.parent, f".{path.name}.") as folder:
        name = folder / path.name
        with contextlib.closing(sqlite3.connect(name, isolation_level=None)) as db:
            for number in range(len(steps)):
                _take(db, steps, number)
            db.execute("pragma journal_mode = wal")
        name.chmod(0o600)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open a file that `open_database` has made or checked, for reading alone; errors are as there."""
    with explained(path):
        db, _ = _connect(path, "mode=ro")
        db.execute("pragma query_only = on")
    return db


def _connect(path: Path, mode: str = "mode=rw") -> tuple[sqlite3.Connection, int]:
    """A connection, and the schema that the file says it has."""
    try:
        db = connect(path, mode)
        return db, _version(db)
    except sqlite3.Error as error:
        log = path.with_name(f"{path.name}-wal")
        if not files.is_full(error) or (log.exists() and log.stat().st_size):  # else all there is to know is in there
            raise
    db = connect(path, "immutable=1")
    return db, _version(db)


def connect(path: Path, parameter: str) -> sqlite3.Connection:
    """A connection that has not looked at the file yet; `parameter` is one of sqlite.org/uri.html."""
    text = str(path)
    for character, escape in (("%", "%25"), ("?", "%3f"), ("#", "%23")):  # what would end the path
        text = text.replace(character, escape)
    return sqlite3.connect(f"file:{text}?{parameter}", uri=True, timeout=_TIMEOUT_S, isolation_level=None)


def _check(path: Path, found: int, known: int) -> None:
    if found == 0:
        raise InfernoError(f"{path} is empty: it is not an Inferno database", "move it away, and another is made")
    if found > known:
        raise UsageError(
            f"{path} was made by a newer Inferno (schema {found}, this one knows {known})",
            "update Inferno, or point INFERNO_ROOT elsewhere",
        )


def _upgrade(db: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    """Take the steps that the file has not taken yet, after the old file was copied.

    Killed at any instant, the file has the schema of one step or of the next: each is a transaction, with its number.
    """
    kept: Path | None = None
    changed = False
    while True:
        db.execute("begin immediate")  # from here on no other process can change the schema
        try:
            found = _version(db)
            if found >= len(steps):  # the last step was taken, maybe by another process
                db.execute("rollback")
                return
            kept = kept or _keep(path, found)
            _take(db, steps, found)
            changed = True
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first error counts
                if db.in_transaction:
                    db.execute("rollback")
            if kept and not changed:  # the next command would make another
                kept.unlink(missing_ok=True)
            raise


def _take(db: sqlite3.Connection, steps: Sequence[Step], number: int) -> None:
    """One step and its number, in the open transaction, or in one of its own; commits it."""
    if not db.in_transaction:
        db.execute("begin immediate")
    steps[number](db)
    db.execute(f"pragma user_version = {number + 1}")
    db.execute("commit")


def _keep(path: Path, schema: int) -> Path:
    """Copy the file as it is committed now to `<name>.schema<N>-<UTC time>`, mode 0600; return where it is.

    The copy is one file: it has no log beside it.
    """
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = path.with_name(f"{path.name}.schema{schema}-{time}")
    with files.temporary_folder(path.parent, f".{path.name}.") as folder:
        copy = folder / path.name
        descriptor = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        with (
            contextlib.closing(sqlite3.connect(path, timeout=_TIMEOUT_S)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.execute("pragma journal_mode = delete")
        files.sync(copy)
        os.rename(copy, kept)
    files.sync(path.parent)
    return kept


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("pragma user_version").fetchone()[0])


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of what is done inside, or nothing; no other process writes meanwhile."""
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
    db.execute("commit")


@contextlib.contextmanager
def explained(path: Path, hint: str = _HINT) -> Iterator[None]:
    """SQLite's errors as an InfernoError of one line, about the file `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise explanation(path, error, hint) from None


def explanation(path: Path, error: sqlite3.Error, hint: str = _HINT) -> InfernoError:
    """One of SQLite's errors about the file `path`."""
    return files.disk_full(path) if files.is_full(error) else InfernoError(f"{path}: {error}", hint)
