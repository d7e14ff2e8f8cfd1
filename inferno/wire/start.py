"""start.json: what holds for one start of a VM alone, and so is not a part of its version.

Each start writes it beside the version's files, where only root does, and links it into the jail that it lays out
anew; kiln reads it once and hands it to init. There is never a secret in it: the guest reads it, and so does whatever
broke out of Firecracker. It says whether secrets follow, by another way (inferno/wire/secrets.py).
"""

import json
from pathlib import Path
from typing import Annotated, NamedTuple

from inferno.base import records
from inferno.base.errors import UsageError
from inferno.wire.shared import KILN_FORMAT, MAX_START_BYTES, START_FORMAT

# By the format of a version's kiln.json: that of the start.json which its kiln and init read; None: they read none.
# This release's are here, and the one before's, so that what that made can be started.
_FORMATS: dict[int, int | None] = {1: None, 2: 1, KILN_FORMAT: START_FORMAT}
# From which on start.json says whether secrets follow.
_WITH_SECRETS = 2


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
    """The file (tests/contract/start.json). `run` is the run's id, a ULID; `secrets` says whether there are any, which
    kiln fetches then; `etc_hosts` come before the guest's own."""

    format: Annotated[int, range(START_FORMAT, START_FORMAT + 1)]
    run: str
    secrets: bool
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
        known = f"{min(_FORMATS)} to {max(_FORMATS)}"
        raise UsageError(
            f"{kiln_config} is of another Inferno (format {found}; this one starts {known})",
            "create the VM again: its spec is remembered",
        )
    return _FORMATS[found]


def takes_secrets(number: int | None) -> bool:
    """Whether kiln and init that read a start.json of this format (None: none) take secrets."""
    return number is not None and number >= _WITH_SECRETS


def text(run: str, resolv: Resolv, hosts: list[Host], *, secrets: bool = False, number: int = START_FORMAT) -> bytes:
    """start.json of this format, one line. Raises UsageError when it is longer than kiln takes."""
    fields = records.plain(Start(START_FORMAT, run, secrets, resolv, hosts)) | {"format": number}
    if not takes_secrets(number):
        del fields["secrets"]
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
