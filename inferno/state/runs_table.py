"""The runs of VMs: one row per start, written just before the launch, completed once a command has seen its end."""

import sqlite3
from typing import NamedTuple

from inferno.state.sqlite_file import transaction

KEPT = 100  # per VM: the newest
END_UNSEEN = "its end was not recorded"


class Begin(NamedTuple):
    """`run` and `version` are ULIDs; the time is RFC 3339 in UTC."""

    run: str
    vm: str
    version: str
    started_at: str


class End(NamedTuple):
    """How a run ended: `exit_code` and `signal` are as `infernoctl status` has them, `reason` is in words.

    Where no one knows when that was, `ended_at` is when it was noticed. `noticed_by` is the command that wrote this.
    """

    ended_at: str
    exit_code: int | None
    signal: int | None
    reason: str
    noticed_by: str


class Run(NamedTuple):
    """One row. The last five are None while no command has seen the run's end."""

    run: str
    vm: str
    version: str
    started_at: str
    ended_at: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    noticed_by: str | None = None


class Runs:
    """The table `runs`. Each method is one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def begin(self, begun: Begin) -> None:
        """Add a run. One of the same VM whose end was never written cannot go on any more; the oldest are forgotten."""
        lost = End(begun.started_at, None, None, END_UNSEEN, "start")
        with transaction(self._db):
            self._complete(begun.vm, lost)
            self._db.execute("insert into runs (run, vm, version, started_at) values (?, ?, ?, ?)", begun)
            self._db.execute(
                "delete from runs where vm = ?1 and id not in"
                " (select id from runs where vm = ?1 order by id desc limit ?2)",
                (begun.vm, KEPT),
            )

    def end(self, vm: str, end: End) -> bool:
        """Complete the VM's run; return whether there was one to complete. What is complete never changes again."""
        with transaction(self._db):
            return self._complete(vm, end)

    def _complete(self, vm: str, end: End) -> bool:
        columns = ", ".join(f"{column} = ?" for column in End._fields)
        return self._db.execute(f"update runs set {columns} where vm = ? and ended_at is null", (*end, vm)).rowcount > 0

    def is_open(self, vm: str) -> bool:
        """Whether the VM has a run whose end nobody has written."""
        return self._db.execute("select 1 from runs where vm = ? and ended_at is null", (vm,)).fetchone() is not None

    def of(self, vm: str) -> list[Run]:
        """The VM's runs, the newest first."""
        columns = ", ".join(Run._fields)
        return [
            Run(*row) for row in self._db.execute(f"select {columns} from runs where vm = ? order by id desc", (vm,))
        ]
