"""vms/<name>/spec.json: what the database knows of one VM, once more beside its files.

Every create that succeeds writes it, after the database's row. A lost database is made again from these files
(`files`); nothing else reads them. It has mode 0600: the spec holds the environment, which may hold secrets.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from inferno.base import records
from inferno.base.named_tuple import NamedTuple
from inferno.spec.create_options import Spec
from inferno.state.database import VmRow
from inferno.state.paths import Paths
from inferno.state.slot import SLOTS

# Grows with a change that an Inferno of before must not overlook: it would lose what a user asked for.
FORMAT = 1


class VmRecord(NamedTuple):
    """`version` is the ULID of the version that is current; `created_at` is when the VM was, RFC 3339 in UTC."""

    format: Annotated[int, range(1, FORMAT + 1)]
    name: str
    slot: Annotated[int, range(SLOTS)]
    version: str
    created_at: str
    spec: Spec


def of(row: VmRow) -> VmRecord:
    """The record of a VM whose create has ended. Raises BadRecordError when the row's spec is not one."""
    assert row.version is not None, "a name that is only reserved has no record"
    spec = records.of(Spec, row.spec, f"the spec of {row.name} in the database")
    return VmRecord(FORMAT, row.name, row.slot, row.version, row.created_at, spec)


def write(paths: Paths, row: VmRow) -> None:
    """Put the VM's record beside its files, atomically. The caller holds the VM's lock. Raises OSError."""
    records.write(paths.vm_record(row.name), of(row), 0o600)


def is_written(paths: Paths, row: VmRow) -> bool:
    """Whether the file says what the database does."""
    try:
        return paths.vm_record(row.name).read_text() == records.text(of(row))
    except (OSError, ValueError, records.BadRecordError):
        return False


def read(path: Path) -> VmRecord:
    """One VM's record. Raises FileNotFoundError, BadRecordError, or NewerRecordError."""
    return records.read(VmRecord, path, newest=FORMAT)


def files(paths: Paths) -> Iterator[Path]:
    """The file of every VM that has one, by name: for `read`."""
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(paths.vms)):
            path = paths.vm_record(name)
            if path.is_file():
                yield path
