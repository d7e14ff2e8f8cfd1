"""What Inferno remembers about VMs: specs, slots, versions. Never "is it running": that is asked of the kernel.

Standard sqlite3 with parameters: `infernoctl list` may cost no more than a handful of milliseconds, and
sqlite-utils alone takes 45 ms to import.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError

SCHEMA_VERSION = 1
# Slot n owns the /30 at 172.16.0.0 + 4n (DESIGN: 172.16.0.0/16), hence 2**14 of them.
SLOTS = 16384
_SCHEMA = f"""
create table vms (
    name text primary key,
    slot integer not null unique check (slot between 0 and {SLOTS - 1}),
    spec text,
    version text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) without rowid;
pragma user_version = {SCHEMA_VERSION};
"""


class VmRow(NamedTuple):
    """One VM. `spec` and `version` are None while it is only reserved: its first create has not ended yet."""

    name: str
    slot: int
    spec: dict[str, Any] | None
    version: str | None
    created_at: str


def open_database(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open the SQLite file, made complete under another name first: `pragma journal_mode=wal` on a new file
    ignores the busy timeout, so two first users would fail with "database is locked".

    On a full disk it can only be read: SQLite needs room for its index of the log. What frees the disk reads it.

    Raises InfernoError when the file was made by a newer Inferno, or cannot be read; PermissionError when another
    user may.
    """
    if not path.exists():
        try:
            _make_database(path, schema)
        except OSError as error:
            if isinstance(error, PermissionError) or files.is_full(error):
                raise
            hint = "INFERNO_ROOT, or DB_PATH, says where: infernoctl env"
            raise UsageError(f"{path} cannot be made: {error.strerror}", hint) from None
    if not os.access(path, os.R_OK | os.W_OK):  # SQLite says the same of this and of a damaged file
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    try:
        db, found = _connect(path)
        db.execute("pragma foreign_keys = on")
        db.execute("pragma synchronous = normal")
    except sqlite3.Error as error:
        if files.is_full(error):
            raise files.disk_full(path) from None
        raise InfernoError(f"{path}: {error}", "is it an Inferno database, on a disk with room?") from None
    if found == 0:
        db.close()
        raise InfernoError(f"{path} is empty: it is no Inferno database", "move it away, and another is made")
    if found > version:
        db.close()
        raise UsageError(
            f"{path} was made by a newer Inferno (schema {found}, this one knows {version})",
            "update Inferno, or point INFERNO_ROOT elsewhere",
        )
    return db


def _connect(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection, and the version that the file says it has."""
    try:
        db = sqlite3.connect(path, timeout=30, isolation_level=None)
        return db, db.execute("pragma user_version").fetchone()[0]
    except sqlite3.Error as error:
        log = path.with_name(f"{path.name}-wal")
        if not files.is_full(error) or (log.exists() and log.stat().st_size):  # else all there is to know is in there
            raise
    from urllib.parse import quote

    db = sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True, isolation_level=None)
    return db, db.execute("pragma user_version").fetchone()[0]


def _make_database(path: Path, schema: str) -> None:
    with files.temporary_folder(path.parent, f".{path.name}.") as folder:
        name = folder / path.name
        db = sqlite3.connect(name, isolation_level=None)
        db.executescript(schema)
        db.execute("pragma journal_mode = wal")
        db.close()
        name.chmod(0o600)
        with contextlib.suppress(FileExistsError):  # another process was first: its file is as good
            os.link(name, path)


class State:
    """The `vms` table. Each method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._db = open_database(self._path, _SCHEMA, SCHEMA_VERSION)
        self._db.execute("pragma synchronous = full")  # a VM that create has reported is there after a power cut

    def close(self) -> None:
        self._db.close()

    def vm(self, name: str) -> VmRow | None:
        row = self._db.execute("select * from vms where name = ?", (name,)).fetchone()
        return _row(row) if row else None

    def vm_at(self, slot: int) -> VmRow | None:
        row = self._db.execute("select * from vms where slot = ?", (slot,)).fetchone()
        return _row(row) if row else None

    def vms(self) -> list[VmRow]:
        """All VMs whose create has ended, by name."""
        return [_row(r) for r in self._db.execute("select * from vms where version is not null order by name")]

    def names(self) -> list[str]:
        return [r[0] for r in self._db.execute("select name from vms where version is not null order by name")]

    def reserve(self, name: str) -> VmRow:
        """The VM's row; when it has none, one with the lowest free slot. Raises InfernoError when all are taken."""
        with self._transaction():
            row = self.vm(name)
            if row:
                return row
            slot = self._db.execute(
                "select min(slot) from (select 0 as slot union all select slot + 1 from vms)"
                " where slot not in (select slot from vms)"
            ).fetchone()[0]
            if slot >= SLOTS:
                raise InfernoError(f"all {SLOTS} slots are taken", "destroy VMs that are no longer needed")
            self._db.execute("insert into vms (name, slot) values (?, ?)", (name, slot))
        found = self.vm(name)
        assert found is not None
        return found

    def save(self, name: str, spec: dict[str, Any], version: str) -> None:
        """Record what a successful create made."""
        self._db.execute(
            "update vms set spec = ?, version = ? where name = ?",
            (json.dumps(spec, sort_keys=True), version, name),
        )

    def remove(self, name: str) -> None:
        """Forget the VM. Where the disk was full, what was deleted before this has made room."""
        try:
            self._delete(name)
        except sqlite3.OperationalError as error:
            if not files.is_full(error):
                raise
            self.close()
            self._open()
            self._delete(name)

    def _delete(self, name: str) -> None:
        self._db.execute("delete from vms where name = ?", (name,))

    def reservations(self) -> list[str]:
        """Names that were reserved and never finished: of creates that run, or that were killed."""
        return [r[0] for r in self._db.execute("select name from vms where version is null")]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")


def _row(row: tuple[str, int, str | None, str | None, str]) -> VmRow:
    name, slot, spec, version, created_at = row
    return VmRow(name, slot, json.loads(spec) if spec else None, version, created_at)
