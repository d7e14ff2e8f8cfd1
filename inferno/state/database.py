"""What Inferno remembers about VMs: specs, slots, versions. Never "is it running": that is asked of the kernel.

Standard sqlite3 with parameters: `infernoctl list` may cost no more than a handful of milliseconds, and
sqlite-utils, which makes and changes the schema (`migrations`), takes 45 ms to import.
"""

import contextlib
import json
import sqlite3
from _thread import get_ident  # threading would cost `list` a millisecond
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.state.migrations import STEPS
from inferno.state.names import host_name
from inferno.state.slot import SLOTS
from inferno.state.sqlite_file import open_database, transaction

if TYPE_CHECKING:
    from inferno.state.runs_table import Runs

_COLUMNS = "name, slot, spec, env, version, created_at"


class VmRow(NamedTuple):
    """One VM. `spec` and `version` are None while it is only reserved: its first create has not ended yet."""

    name: str
    slot: int
    spec: dict[str, object] | None
    version: str | None
    created_at: str


class State:
    """The table `machines`. Each method is one transaction. Threads may share it: each has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections: dict[int, sqlite3.Connection] = {}
        self._open()

    def _open(self) -> sqlite3.Connection:
        db = open_database(self._path, STEPS, "a damaged one: infernoctl db rebuild")
        db.execute("pragma synchronous = full")  # a VM that create has reported is there after a power cut
        self._connections[get_ident()] = db
        return db

    @property
    def _db(self) -> sqlite3.Connection:
        """This thread's."""
        return self._connections.get(get_ident()) or self._open()

    def close(self) -> None:
        """Close this thread's connection; those of others go with the object."""
        self._db.close()

    @property
    def runs(self) -> "Runs":
        from inferno.state.runs_table import Runs  # `list` has no use for it

        return Runs(self._db)

    def vm(self, name: str) -> VmRow | None:
        row = self._db.execute(f"select {_COLUMNS} from machines where name = ?", (name,)).fetchone()
        return _row(row) if row else None

    def vm_at(self, slot: int) -> VmRow | None:
        row = self._db.execute(f"select {_COLUMNS} from machines where slot = ?", (slot,)).fetchone()
        return _row(row) if row else None

    def vms(self) -> list[VmRow]:
        """All VMs whose create has ended, by name."""
        found = self._db.execute(f"select {_COLUMNS} from machines where version is not null order by name")
        return [_row(r) for r in found]

    def names(self) -> list[str]:
        return [r[0] for r in self._db.execute("select name from machines where version is not null order by name")]

    def check_host_name(self, name: str) -> None:
        """Raise UsageError when another VM is called the same as a host: web_1 and web-1."""
        found = self._db.execute(
            "select name from machines where replace(name, '_', '-') = ? and name != ?", (host_name(name), name)
        ).fetchone()
        if found:
            raise UsageError(
                f"{name} and the VM {found[0]} would have one host name, {host_name(name)}", "choose another name"
            )

    def reserve(self, name: str, *, is_new: bool = False) -> VmRow:
        """The VM's row; when it has none, one with the lowest free slot.

        Raises InfernoError when all are taken; and for a new VM UsageError as `check_host_name` does.
        """
        with transaction(self._db):
            row = self.vm(name)
            if row:
                return row
            if is_new:
                self.check_host_name(name)
            slot = self._db.execute(
                "select min(slot) from (select 0 as slot union all select slot + 1 from machines)"
                " where slot not in (select slot from machines)"
            ).fetchone()[0]
            if slot >= SLOTS:
                raise InfernoError(f"all {SLOTS} slots are taken", "destroy VMs that are no longer needed")
            self._db.execute("insert into machines (name, slot) values (?, ?)", (name, slot))
        found = self.vm(name)
        assert found is not None
        return found

    def save(self, name: str, spec: Mapping[str, object], version: str) -> None:
        """Record what a successful create made."""
        shown, env = _apart(spec)
        self._db.execute(
            "update machines set spec = ?, env = ?, version = ? where name = ?", (shown, env, version, name)
        )

    def restore(self, row: VmRow) -> bool:
        """Add a row that was lost; return whether it was added: not where its name or its slot is taken."""
        assert row.spec is not None, "a name that is only reserved is not restored"
        values = (row.name, row.slot, *_apart(row.spec), row.version, row.created_at)
        return (
            self._db.execute(f"insert or ignore into machines ({_COLUMNS}) values (?, ?, ?, ?, ?, ?)", values).rowcount
            > 0
        )

    def remove(self, name: str) -> None:
        """Forget the VM and its runs. Where the disk was full, what was deleted before this has made room."""
        try:
            self._delete(name)
        except sqlite3.OperationalError as error:
            if not files.is_full(error):
                raise
            self.close()
            self._open()
            self._delete(name)

    def _delete(self, name: str) -> None:
        with transaction(self._db):
            self._db.execute("delete from machines where name = ?", (name,))
            self._db.execute("delete from runs where vm = ?", (name,))

    def reservations(self) -> list[str]:
        """Names that were reserved and never finished: of creates that run, or that were killed."""
        return [r[0] for r in self._db.execute("select name from machines where version is null")]


def _apart(spec: Mapping[str, object]) -> tuple[str, str | None]:
    """The spec as JSON with nothing but the names of environment variables, and these with their values."""
    env = spec.get("env")
    if not isinstance(env, list):
        return json.dumps(spec, sort_keys=True), None
    names = [str(word).partition("=")[0] for word in env]
    return json.dumps({**spec, "env": names}, sort_keys=True), json.dumps(env)


def _row(row: tuple[str, int, str | None, str | None, str | None, str]) -> VmRow:
    name, slot, shown, env, version, created_at = row
    spec = json.loads(shown) if shown else None
    if spec and env:
        spec["env"] = json.loads(env)
    return VmRow(name, slot, spec, version, created_at)


@contextlib.contextmanager
def if_there(path: Path) -> Iterator[State | None]:
    """The database, or None when nothing was ever created: looking makes no files."""
    if not path.exists():
        yield None
        return
    with contextlib.closing(State(path)) as state:
        yield state
