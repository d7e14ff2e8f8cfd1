"""start.json: what holds for one start of a VM alone, and so is not a part of its version.

Each start writes it beside the version's files, where only root does, and links it into the jail that it lays out
anew; kiln reads it once and hands it to init. There is never a secret in it: the guest reads it, and so does whatever
broke out of Firecracker.
"""

import json
from pathlib import Path
from typing import Annotated, NamedTuple

from inferno.base import records
from inferno.base.errors import UsageError
from inferno.wire.shared import KILN_FORMAT, MAX_START_BYTES, START_FORMAT

# By the format of a version's kiln.json: that of the start.json which its kiln and init read; None: they read none.
# Both this release's and the one before's are here, so that what that made can be started.
_FORMATS: dict[int, int | None] = {KILN_FORMAT - 1: None, KILN_FORMAT: START_FORMAT}


class Resolv(NamedTuple):
    """What init writes into /etc/resolv.conf; when all is empty, the image's own stays."""

    nameservers: list[str]
    search: list[str]
    options: list[str]


class Host(NamedTuple):
    """A line of /etc/hosts."""

    address: str
    names: list[str]


class Start(NamedTuple):
    """The file (tests/contract/start.json). `run` is the run's id, a ULID; `etc_hosts` come before the guest's own."""

    format: Annotated[int, range(START_FORMAT, START_FORMAT + 1)]
    run: str
    etc_resolv: Resolv
    etc_hosts: list[Host]


class _Head(NamedTuple):
    """What the kiln.json of any format says; in the first there was no number."""

    format: int = 1


class _Run(NamedTuple):
    """What the start.json of any format says."""

    run: str


def format_for(kiln_config: Path) -> int | None:
    """Which start.json goes with this kiln.json of root's; None: none does.

    Raises UsageError when it is of another Inferno, FileNotFoundError, or BadRecordError.
    """
    found = records.read(_Head, kiln_config, newer=True).format
    if found not in _FORMATS:
        known = " and ".join(map(str, _FORMATS))
        raise UsageError(
            f"{kiln_config} is of another Inferno (format {found}; this one starts {known})",
            "create the VM again: its spec is remembered",
        )
    return _FORMATS[found]


def text(run: str, resolv: Resolv, hosts: list[Host]) -> bytes:
    """start.json, one line. Raises UsageError when it is longer than kiln takes."""
    fields = records.plain(Start(START_FORMAT, run, resolv, hosts))
    line = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_START_BYTES:
        raise UsageError(
            f"more than {MAX_START_BYTES >> 10} KiB of name servers and hosts cannot be handed to a guest",
            "/etc/resolv.conf of this host, and create --dns…, --add-host",
        )
    return line


def run_of(path: Path) -> str | None:
    """The id of the run that the file was written for; None without one, or when a power cut left it unfinished."""
    try:
        return records.read(_Run, path, newer=True).run
    except (OSError, records.BadRecordError):
        return None
