"""VMs as the front ends see them: what there is, what runs, how it ended; and the verbs, handed on.

`list` answers within milliseconds for ten VMs, so nothing heavy is imported here: one query, and a few small files
of the kernel's per VM.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Iterator
from typing import Any

from inferno.base.errors import UsageError
from inferno.life import exit_status
from inferno.life.instance import Instance
from inferno.sandbox import cgroup
from inferno.settings import Settings
from inferno.state import names
from inferno.state.database import State, VmRow
from inferno.state.paths import VersionDir

CREATED, RUNNING, STOPPED = "created", "running", "stopped"
STATES = (CREATED, RUNNING, STOPPED)


def row(settings: Settings, name: str) -> VmRow:
    """The VM's row. Raises UsageError, with a guess, when there is no such VM."""
    names.check_name(name)
    with _state(settings) as state:
        found = state.vm(name) if state else None
        if found is not None and found.version is not None:
            return found
        import difflib

        near = difflib.get_close_matches(name, state.names() if state else (), 1)
    raise UsageError(f"there is no VM {name!r}", f"did you mean {near[0]!r}?" if near else "infernoctl list")


def list_all(settings: Settings) -> list[dict[str, Any]]:
    """A summary of every VM, by name."""
    with _state(settings) as state:
        rows = state.vms() if state else []
    return [summary(settings, each) for each in rows]


def summary(settings: Settings, found: VmRow) -> dict[str, Any]:
    """One VM in a few fields. Memory is in MiB; times are RFC 3339; `version` is the running one while one runs."""
    vm, spec = Instance.of(settings, found), found.spec or {}
    running = vm.running()
    last = None if running else exit_status.last(vm.paths, vm.name)
    shown: dict[str, Any] = {
        "name": found.name,
        "state": RUNNING if running else STOPPED if last or vm.started() else CREATED,
        "version": running.ulid if running else found.version,
        "image": spec.get("image"),
        "vcpus": spec.get("vcpus"),
        "memory": spec.get("memory"),
        "ip": vm.slot.guest,
        "pid": None,
        "started_at": last["started_at"] if last else None,
        "uptime_s": None,
        "exit_code": exit_status.code(last) if last else None,
    }
    if running:
        shown.update(_of_run(vm, running))
    return shown


def status(settings: Settings, name: str) -> dict[str, Any]:
    """One VM in full: its summary, how its last run ended, and what on this host is its own."""
    found = row(settings, name)
    vm = Instance.of(settings, found)
    shown = summary(settings, found)
    last = exit_status.last(vm.paths, name) if shown["state"] != RUNNING else None
    fields = ("exited_at", "signal", "oom_killed", "error", "vm_error")
    shown.update({field: last.get(field) if last else None for field in fields})
    shown.update(
        current_version=found.version,
        created_at=found.created_at,
        chroot_dir=str(vm.paths.version(shown["version"]).jail),
        tap_device=vm.slot.tap,
        gateway_ip=vm.slot.gateway,
        mac_address=vm.slot.mac,
        uid=vm.uid,
        gid=vm.gid,
        log=str(vm.paths.log(name)),
    )
    return shown


def _of_run(vm: Instance, running: VersionDir) -> dict[str, Any]:
    """What only a VM that runs has. Its PID is kiln's, which leads the session it was launched in."""
    found = cgroup.processes(running.ulid)
    shown: dict[str, Any] = {"pid": next((pid for pid, session in found.items() if pid == session), None)}
    with contextlib.suppress(OSError):
        since = os.lstat(vm.paths.started(vm.name)).st_mtime
        at = datetime.datetime.fromtimestamp(since, datetime.UTC)
        shown["started_at"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown["uptime_s"] = round(max(time.time() - since, 0), 1)
    return shown


@contextlib.contextmanager
def _state(settings: Settings) -> Iterator[State | None]:
    """The database, or None when nothing was ever created: looking makes no files."""
    if not settings.db_path.exists():
        yield None
        return
    state = State(settings.db_path)
    try:
        yield state
    finally:
        state.close()
