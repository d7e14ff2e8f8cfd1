"""How a VM's last run ended: kiln's exit_status.json, brought out of the jail before that goes.

The file was made by a uid that an attacker may have taken over: it is opened by descriptor, following nothing, its
size and every field of it are checked, and what it says is data. Kept as vms/<name>/exit_status.json.
"""

import contextlib
import datetime
import os
import stat
from pathlib import Path
from typing import Annotated

from inferno.base import records
from inferno.base.named_tuple import NamedTuple
from inferno.base.text import printable
from inferno.sandbox import cgroup
from inferno.state.paths import Paths, VersionDir
from inferno.wire.shared import CODE_NO_PROCESS, EXIT_STATUS, MAX_EXIT_STATUS_BYTES, MAX_SIGNAL, UNFINISHED_SUFFIX

_BYTE, _SIGNAL = range(256), range(1, MAX_SIGNAL + 1)


class ExitStatus(NamedTuple):
    """exit_status.json, as kiln writes it (tests/contract/exit_status.json). Times are RFC 3339, UTC, microseconds.

    `vm_*` is of the VM, the others of the image's process; `error` says why that could not be run. `run`, the run's id,
    is the host's to say, and not kiln's; None: it was started by an Inferno that gave runs no ids.
    """

    vm_exit_code: Annotated[int, _BYTE] | None
    vm_signal: Annotated[int, _SIGNAL] | None
    vm_error: str | None
    exit_code: Annotated[int, _BYTE] | None
    signal: Annotated[int, _SIGNAL] | None
    oom_killed: bool
    error: str | None
    started_at: str | None
    exited_at: str | None
    run: str | None = None


_NO_WORD = ExitStatus(None, None, None, None, None, False, None, None, None)


class _BadStatusError(Exception):
    """Why there is no telling how it ended."""


def record(paths: Paths, name: str, version: VersionDir, because: str | None = None) -> ExitStatus:
    """Keep what the version's jail says of its end, and return it. Called again, the first word holds.

    Without a word from kiln, or with a bad one, `vm_error` says so, and why: `because`, of a caller who knows. The
    caller holds the VM's lock; nothing runs.
    """
    status = _kept(paths, name)
    if status is None:
        status = _of(paths, name, version, because)
        records.write(_file(paths, name), status)
    return status


def forget(paths: Paths, name: str) -> None:
    """A new run begins: nothing is known of its end."""
    with contextlib.suppress(FileNotFoundError):
        _file(paths, name).unlink()


def last(paths: Paths, name: str) -> ExitStatus | None:
    """How the VM's last run ended; None before the first. Asked while none runs.

    A run that ended by itself has its word still in the jail. What another command puts away just now is kept before
    it goes from there, so that is looked for in the same order.
    """
    version = _started(paths, name)
    said = _of(paths, name, version) if version is not None and version.jail.is_dir() else None
    return _kept(paths, name) or said


def code(status: ExitStatus) -> int:
    """The exit status to show: the process's own, 128+n for a death by signal n; its VM's signal; or else 125."""
    if status.exit_code is not None:
        return status.exit_code
    signal = status.signal or status.vm_signal
    return 128 + signal if signal else CODE_NO_PROCESS


def _killed_for_memory(events: dict[str, int]) -> str | None:
    """What a leaf's memory.events say of its end (cgroup-v2.rst): `oom` counts how often its own limit was met."""
    if not events.get("oom_kill"):
        return None
    return "it used more memory than its limit" if events.get("oom") else "the host had no memory left"


def _of(paths: Paths, name: str, version: VersionDir, because: str | None = None) -> ExitStatus:
    # A list of VMs that have not run needs neither.
    from inferno.sandbox import jail
    from inferno.wire import start

    killed = _killed_for_memory(cgroup.memory_events(version.ulid))
    try:
        with jail.opened(version) as root:
            status = _read(root)
    except (_BadStatusError, OSError) as error:
        why = (
            str(error) if isinstance(error, _BadStatusError) else f"it left no exit status: {because or _fate(version)}"
        )
        status = _NO_WORD._replace(vm_error=why, started_at=_launched_at(paths, name))
    status = status._replace(run=start.run_of(version.start))
    return status._replace(vm_error=f"killed by the host: {killed}") if killed else status


def _fate(version: VersionDir) -> str:
    """Of a run that left no word. Its leaf stays until its end was recorded, unless the host itself went down."""
    return (
        "kiln was killed, by SIGKILL or another signal that it could not note"
        if version.ulid in cgroup.leaves()
        else "it was cut off with the host"
    )


def _read(root: int) -> ExitStatus:
    """exit_status.json of the jail whose `/` is the descriptor `root`. Raises OSError, or _BadStatusError."""
    try:
        descriptor = os.open(
            EXIT_STATUS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=root
        )
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):
            os.stat(EXIT_STATUS + UNFINISHED_SUFFIX, dir_fd=root, follow_symlinks=False)
            raise _BadStatusError("kiln did not get its exit status written: is the disk full?") from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _BadStatusError("its exit status is not a regular file")
        text = os.read(descriptor, MAX_EXIT_STATUS_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > MAX_EXIT_STATUS_BYTES:
        raise _BadStatusError("its exit status is too large")
    try:
        found = records.parse(ExitStatus, text, "its exit status")
    except records.BadRecordError as error:
        raise _BadStatusError(printable(error.text)) from None
    clean = {field: printable(value) if isinstance(value, str) else value for field, value in found._asdict().items()}
    return records.of(ExitStatus, clean, "its exit status")


def _started(paths: Paths, name: str) -> VersionDir | None:
    """The version launched last, as long as anything of that run is left (see inferno/life/instance.py)."""
    try:
        ulid = os.path.basename(os.readlink(paths.started(name)))
    except OSError:
        return None
    return paths.version(ulid) if ulid.isalnum() else None


def _launched_at(paths: Paths, name: str) -> str | None:
    try:
        since = os.lstat(paths.started(name)).st_mtime
    except OSError:
        return None
    at = datetime.datetime.fromtimestamp(since, datetime.UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _kept(paths: Paths, name: str) -> ExitStatus | None:
    """What was recorded since the last launch."""
    try:
        return records.read(ExitStatus, _file(paths, name), newer=True)
    except (OSError, records.BadRecordError):
        return None


def _file(paths: Paths, name: str) -> Path:
    return paths.vm(name) / EXIT_STATUS
