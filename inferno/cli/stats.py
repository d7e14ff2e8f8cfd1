"""`infernoctl stats` and `top`: what running VMs use of this host, and what runs in one."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from inferno.base.errors import InfernoError
from inferno.base.requirements import need_root
from inferno.cli.exec_shell import opened
from inferno.console.answer import print_json
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.life import status
from inferno.reach import guest, processes
from inferno.reach.guest import Guest, ProcessStatus
from inferno.sandbox import usage
from inferno.settings import load_settings

_ANSWER_S = 2.0


class Unanswered(NamedTuple):
    """Of a guest that does not say how its process is: why."""

    error: str


class Stats(NamedTuple):
    """What a VM uses of this host since its start, and what its guest says; `version` is the one that runs."""

    name: str
    version: str
    host: usage.Usage
    guest: ProcessStatus | Unanswered


class Top(NamedTuple):
    """The same, and the lines of the guest's `ps`, or why there are none."""

    name: str
    version: str
    host: usage.Usage
    guest: ProcessStatus | Unanswered
    processes: list[str] | None
    processes_error: str | None


def stats(typed: Typed) -> int:
    """One row per VM that runs, or for those named."""
    rows = []
    for name in dict.fromkeys(typed.operands):
        with opened(name) as found:
            rows.append(_of(found))
    if not typed.operands:
        need_root()
        for row in status.list_all(load_settings()):
            with contextlib.suppress(InfernoError), opened(row.name) as found:
                rows.append(_of(found))
    if typed.flag("json"):
        print_json(rows)
        return 0
    print_table(
        [_shown(row) for row in rows], ("name", "cpu", "memory", "peak", "limit", "tasks", "read", "written", "process")
    )
    return 0


def top(typed: Typed) -> int:
    """What the VM uses, and what runs in it."""
    with opened(typed.name) as found:
        row = _of(found)
        try:
            listed: list[str] | None = processes.listed(found)
            error = None
        except InfernoError as none:
            listed, error = None, none.text
    if typed.flag("json"):
        print_json(Top(*row, listed, error))
        return 0
    shown = _shown(row)
    print("  ".join(f"{key} {value}" for key, value in shown.items() if key != "name"))
    for line in listed or ():
        print(line)
    if error:
        say(error)
    return 0


def _of(found: Guest) -> Stats:
    """Both views: the host's, which is to be trusted, and what the guest says of its process."""
    said: ProcessStatus | Unanswered
    try:
        said = guest.status(found, _ANSWER_S)
    except InfernoError as error:
        said = Unanswered(error.text)
    return Stats(found.name, found.ulid, usage.of(found.ulid), said)


def _shown(row: Stats) -> dict[str, str]:
    used, said = row.host, row.guest
    tasks = f"{used.tasks}/{used.tasks_max or '-'}"
    return {
        "name": row.name,
        "cpu": f"{used.cpu_s:.2f}s",
        "memory": _size(used.memory_bytes),
        "peak": _size(used.memory_peak_bytes),
        "limit": _size(used.memory_max_bytes),
        "tasks": tasks,
        "read": _size(used.read_bytes),
        "written": _size(used.written_bytes),
        "process": said.error if isinstance(said, Unanswered) else f"{said.state} {said.uptime_ms / 1000:.1f}s",
    }


def _size(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / (1 << 20):.1f}M"
