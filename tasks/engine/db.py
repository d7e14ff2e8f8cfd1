"""doit's dependency database as Inferno needs it: SQLite, one row per task, each success committed at once.

doit's own backends write only at the end of the run (a kill loses every record) or keep a write lock meanwhile
(parallel runs fail with "database is locked").
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferno.base import files
from inferno.state.sqlite_file import open_database


def _1_task_state(db: sqlite3.Connection) -> None:
    db.execute("create table task_state (task text primary key, data text not null, running text) without rowid")


_STEPS = (_1_task_state,)


class TaskDb:
    """The backend interface of doit 0.37 (doit/dependency.py): get, set, in_, remove, remove_all, dump."""

    desc = "SQLite WAL, commits every task"

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self.name, self.codec = name, codec
        self._cache: dict[str, dict[str, Any]] = {}
        self._dirty: set[str] = set()
        self._connections = threading.local()  # one for each thread: a task's record is touched by one at a time
        self._open()

    def _open(self) -> sqlite3.Connection:
        db: sqlite3.Connection = open_database(Path(self.name), _STEPS)
        self._connections.db = db
        return db

    @property
    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._connections, "db", None)
        return db or self._open()

    def _query(self, sql: str, *args: str) -> Any:
        return self._db.execute(sql, args).fetchone()

    def _load(self, task: str) -> dict[str, Any]:
        found = self._cache.get(task)
        if found is None:
            row = self._query("select data from task_state where task = ? and running is null", task)
            found = self._cache[task] = self.codec.decode(row[0]) if row else {}
        return found

    def reload(self, task: str) -> None:
        """Forget what was read of `task`: another process may have written since."""
        if task not in self._dirty:
            self._cache.pop(task, None)

    def get(self, task: str, key: str) -> Any:
        return self._load(task).get(key)

    def in_(self, task: str) -> bool:
        return bool(self._load(task))

    def set(self, task: str, key: str, value: Any) -> None:
        self._load(task)[key] = value
        self._dirty.add(task)
        if key in ("deps:", "ignore:"):  # the last write of doit's save_success, or of ignore
            self._flush(task)

    def _flush(self, task: str) -> None:
        """Note what is known of the task; on a full disk not: then it is done again."""
        row = task, self.codec.encode(self._cache[task])
        with _unless_full():
            self._query("insert or replace into task_state values (?, ?, null)", *row)
        self._dirty.discard(task)

    def started(self, task: str) -> None:
        """Mark the task as running: killed from here on, it is not up to date."""
        self._query("update task_state set running = ? where task = ?", str(os.getpid()), task)

    def remove(self, task: str) -> None:
        self._cache.pop(task, None)
        self._dirty.discard(task)
        self._query("delete from task_state where task = ?", task)

    def remove_all(self) -> None:
        self._cache.clear()
        self._dirty.clear()
        self._query("delete from task_state")

    def dump(self) -> None:
        for task in list(self._dirty):
            self._flush(task)
        self._db.close()


@contextlib.contextmanager
def _unless_full() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if not files.is_full(error):
            raise


def forget_vm(path: Path, name: str) -> None:
    """Drop every record of VM `name`; when the VM is destroyed, so that a new one of that name starts from nothing."""
    if not path.exists():
        return
    with contextlib.closing(open_database(path, _STEPS)) as db:
        db.execute("delete from task_state where task like ? escape '!'", (f"%:{name.replace('_', '!_')}",))
