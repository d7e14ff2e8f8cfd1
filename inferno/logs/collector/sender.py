"""Who is at the other end of a connection: by the kernel's word on the peer, never by what its lines claim."""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass
from typing import NamedTuple

from inferno.base import records
from inferno.sandbox.cgroup import SLICE
from inferno.settings import Settings
from inferno.state.database import State
from inferno.state.paths import Paths
from inferno.state.slot import SLOTS

_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_ULID = re.compile(r"[0-9A-Z]{26}")


@dataclass(frozen=True, slots=True)
class Sender:
    """One VM, and the version of it that runs."""

    name: str
    vm_id: str


class _Named(NamedTuple):
    """What is read of a version.json (inferno/version/version_json.py)."""

    name: str


def credentials(connection: socket.socket) -> tuple[int, int]:
    """The peer's PID and uid when it connected."""
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid


def find(settings: Settings, pid: int, uid: int) -> Sender | None:
    """The VM whose uid that is; None for anybody else.

    Where one uid is forced on all VMs, the cgroup of the process tells them apart.
    """
    paths = Paths(settings.root)
    if settings.jail_uid is not None:
        return _by_cgroup(paths, pid) if uid == settings.jail_uid else None
    name = _name_at(settings, uid - settings.uid_base)
    if name is None:
        return None
    vm_id = _started(paths, name) or _leaf(pid)
    return Sender(name, vm_id) if vm_id else None


def _name_at(settings: Settings, slot: int) -> str | None:
    if not 0 <= slot < SLOTS or not settings.db_path.exists():
        return None
    state = State(settings.db_path)
    try:
        row = state.vm_at(slot)
    finally:
        state.close()
    return row.name if row else None


def _started(paths: Paths, name: str) -> str | None:
    """The version launched last. The link is there from before the launch until nothing is left of the run."""
    try:
        ulid = os.path.basename(os.readlink(paths.started(name)))
    except OSError:
        return None
    return ulid if _ULID.fullmatch(ulid) else None


def _by_cgroup(paths: Paths, pid: int) -> Sender | None:
    ulid = _leaf(pid)
    if ulid is None:
        return None
    try:
        return Sender(records.read(_Named, paths.version(ulid).record, newer=True).name, ulid)
    except (OSError, records.BadRecordError):
        return None


def _leaf(pid: int) -> str | None:
    """The version in whose cgroup the process is; None when it has ended, or is in no such cgroup."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        head, _, ulid = line.rpartition("/")
        if head == f"0::/{SLICE}" and _ULID.fullmatch(ulid):
            return ulid
    return None
