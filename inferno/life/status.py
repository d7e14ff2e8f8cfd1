"""VMs as the front ends see them: what there is, what runs, how it ended; and the verbs, handed on.

`list` answers within milliseconds for ten VMs, so nothing heavy is imported here: one query, and a few small files
of the kernel's per VM.
"""

import contextlib
import datetime
import os
import time
from typing import TYPE_CHECKING

from inferno.base import records
from inferno.base.named_tuple import NamedTuple
from inferno.life.instance import Instance
from inferno.sandbox import cgroup
from inferno.settings import Settings
from inferno.state import names
from inferno.state.database import VmRow, if_there
from inferno.state.paths import VersionDir
from inferno.version import versions

if TYPE_CHECKING:
    from inferno.life.exit_status import ExitStatus

CREATED, RUNNING, STOPPED = "created", "running", "stopped"
STATES = (CREATED, RUNNING, STOPPED)


class Summary(NamedTuple):
    """A VM as `list` shows it. Memory is in MiB; times are RFC 3339; `version` is the running one while one runs."""

    name: str
    state: str
    version: str | None
    image: str | None
    vcpus: int | None
    memory: int | None
    ip: str
    pid: int | None
    started_at: str | None
    uptime_s: float | None
    exit_code: int | None


class Status(NamedTuple):
    """A VM as `status` shows it: its Summary, field by field, how its last run ended (exit_status.ExitStatus; `reason`
    is in words), and what on this host is its own."""

    name: str
    state: str
    version: str | None
    image: str | None
    vcpus: int | None
    memory: int | None
    ip: str
    pid: int | None
    started_at: str | None
    uptime_s: float | None
    exit_code: int | None
    exited_at: str | None
    signal: int | None
    oom_killed: bool | None
    error: str | None
    vm_error: str | None
    reason: str | None
    stop_signal: int | None
    current_version: str | None
    created_at: str
    chroot_dir: str
    tap_device: str
    gateway_ip: str
    mac_address: str
    uid: int
    gid: int
    log: str
    run: str | None


class _Asked(NamedTuple):
    """What a summary shows of a spec."""

    image: str | None = None
    vcpus: int | None = None
    memory: int | None = None


def row(settings: Settings, name: str) -> VmRow:
    """The VM's row. Raises UsageError, with a guess, when there is no such VM."""
    names.check_name(name)
    with if_there(settings.db_path) as state:
        found = state.vm(name) if state else None
        if found is not None and found.version is not None:
            return found
        raise names.unknown(name, state.names() if state else ())


def list_all(settings: Settings) -> list[Summary]:
    """A summary of every VM, by name. Raises BadRecordError when a VM's spec in the database is damaged."""
    with if_there(settings.db_path) as state:
        rows = state.vms() if state else []
    return [summary(settings, each) for each in rows]


def summary(settings: Settings, found: VmRow) -> Summary:
    """One VM in a few fields."""
    vm = Instance.of(settings, found)
    asked = records.of(_Asked, found.spec or {}, f"the spec of {found.name} in the database", newer=True)
    running = vm.running()
    last = None if running else _last(vm)
    shown = Summary(
        name=found.name,
        state=RUNNING if running else STOPPED if last or vm.started() else CREATED,
        version=running.ulid if running else found.version,
        image=asked.image,
        vcpus=asked.vcpus,
        memory=asked.memory,
        ip=vm.slot.guest,
        pid=None,
        started_at=last.started_at if last else None,
        uptime_s=None,
        exit_code=_code(last),
    )
    return _with_run(shown, vm, running) if running else shown


def status(settings: Settings, name: str) -> Status:
    """One VM in full."""
    from inferno.life import run_history  # `list` does not need it

    found = row(settings, name)
    vm = Instance.of(settings, found)
    shown = summary(settings, found)
    last = _last(vm) if shown.state != RUNNING else None
    record = versions.usable(vm.paths.version(str(shown.version)))
    return Status(
        **shown._asdict(),
        exited_at=last.exited_at if last else None,
        signal=last.signal if last else None,
        oom_killed=last.oom_killed if last else None,
        error=last.error if last else None,
        vm_error=last.vm_error if last else None,
        reason=run_history.reason(vm) if last else None,
        stop_signal=record.stop_signal if record else None,
        current_version=found.version,
        created_at=found.created_at,
        chroot_dir=str(vm.paths.version(str(shown.version)).jail),
        tap_device=vm.slot.tap,
        gateway_ip=vm.slot.gateway,
        mac_address=vm.slot.mac,
        uid=vm.uid,
        gid=vm.gid,
        log=str(vm.paths.log(name)),
        run=last.run if last else _run_id(vm),
    )


def _last(vm: Instance) -> "ExitStatus | None":
    """How its last run ended; None before the first, when nothing of a run is to be read."""
    if not vm.has_run():
        return None
    from inferno.life import exit_status

    return exit_status.last(vm.paths, vm.name)


def _code(last: "ExitStatus | None") -> int | None:
    if last is None:
        return None
    from inferno.life import exit_status

    return exit_status.code(last)


def _with_run(shown: Summary, vm: Instance, running: VersionDir) -> Summary:
    """And what only a VM that runs has. Its PID is kiln's, which leads the session it was launched in."""
    found = cgroup.processes(running.ulid)
    shown = shown._replace(pid=next((pid for pid, session in found.items() if pid == session), None))
    with contextlib.suppress(OSError):
        since = os.lstat(vm.paths.started(vm.name)).st_mtime
        at = datetime.datetime.fromtimestamp(since, datetime.UTC)
        return shown._replace(
            started_at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            uptime_s=round(max(time.time() - since, 0), 1),
        )
    return shown


def _run_id(vm: Instance) -> str | None:
    from inferno.wire import start  # only `status` shows it

    started = vm.started()
    return start.run_of(started.start) if started else None
