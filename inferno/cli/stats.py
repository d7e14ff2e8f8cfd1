"""`infernoctl ping`, `stats` and `top`: whether a VM answers and how fast, what it uses here, what runs in it."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any

from inferno.base.errors import InfernoError, UsageError
from inferno.base.requirements import need_root
from inferno.cli.exec_shell import opened
from inferno.console.arguments import one_name, read_options
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.life import status
from inferno.reach import guest, processes
from inferno.reach.guest import Guest
from inferno.sandbox import usage
from inferno.settings import load_settings

_ANSWER_S = 2.0
_MAX_PINGS, _MAX_TIMEOUT_S = 10_000, 3600


def ping(words: list[str]) -> int:
    """Round trips of GET /v1/ping, each with a connection of its own, one after the other."""
    given, rest = read_options("ping", words, ["json", "count=", "timeout="], "c:")
    name = one_name("ping", rest)
    count = math.ceil(_number("count", given.get("c", given.get("count", "1")), _MAX_PINGS))
    timeout_s = _number("timeout", given.get("timeout", str(_ANSWER_S)), _MAX_TIMEOUT_S)
    with opened(name) as found:
        took_ms = [guest.ping(found, timeout_s) * 1000 for _ in range(count)]
    if "json" in given:
        print(json.dumps({"name": name, "round_trip_ms": [round(ms, 3) for ms in took_ms]}))
    elif count == 1:
        print(f"{name} answers after {took_ms[0]:.2f} ms")
    else:
        low, mean, high = min(took_ms), sum(took_ms) / count, max(took_ms)
        print(f"{name} answers {count} times after {low:.2f} / {mean:.2f} / {high:.2f} ms (least / mean / most)")
    return 0


def stats(words: list[str]) -> int:
    """One row per VM that runs, or for those named."""
    given, names = read_options("stats", words, ["json"])
    rows = []
    for name in dict.fromkeys(names):
        with opened(name) as found:
            rows.append(_of(found))
    if not names:
        need_root()
        for row in status.list_all(load_settings()):
            with contextlib.suppress(InfernoError), opened(row.name) as found:
                rows.append(_of(found))
    if "json" in given:
        print(json.dumps(rows))
        return 0
    print_table(
        [_shown(row) for row in rows], ("name", "cpu", "memory", "peak", "limit", "tasks", "read", "written", "process")
    )
    return 0


def top(words: list[str]) -> int:
    """What the VM uses, and what runs in it."""
    given, rest = read_options("top", words, ["json"])
    with opened(one_name("top", rest)) as found:
        row: dict[str, Any] = _of(found)
        try:
            listed: list[str] | None = processes.listed(found)
            error = None
        except InfernoError as none:
            listed, error = None, none.text
    if "json" in given:
        print(json.dumps({**row, "processes": listed, "processes_error": error}))
        return 0
    shown = _shown(row)
    print("  ".join(f"{key} {value}" for key, value in shown.items() if key != "name"))
    for line in listed or ():
        print(line)
    if error:
        say(error)
    return 0


def _of(found: Guest) -> dict[str, Any]:
    """Both views: the host's, which is to be trusted, and what the guest says of its process."""
    try:
        said: dict[str, Any] = guest.status(found, _ANSWER_S)
    except InfernoError as error:
        said = {"error": error.text}
    return {"name": found.name, "version": found.ulid, "host": usage.of(found.ulid), "guest": said}


def _shown(row: Mapping[str, Any]) -> dict[str, str]:
    used, said = row["host"], row["guest"]
    state = said.get("error") or said["state"] + (f" {said['uptime_ms'] / 1000:.1f}s" if "uptime_ms" in said else "")
    tasks = f"{used['tasks']}/{used['tasks_max'] or '-'}"
    return {
        "name": row["name"],
        "cpu": f"{used['cpu_s']:.2f}s",
        "memory": _size(used["memory_bytes"]),
        "peak": _size(used["memory_peak_bytes"]),
        "limit": _size(used["memory_max_bytes"]),
        "tasks": tasks,
        "read": _size(used["read_bytes"]),
        "written": _size(used["written_bytes"]),
        "process": state,
    }


def _size(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / (1 << 20):.1f}M"


def _number(option: str, text: str, most: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number <= most:
        raise UsageError(f"ping: --{option} {text!r} is no number from above 0 to {most}", "infernoctl ping --help")
    return number
