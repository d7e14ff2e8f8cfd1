"""`infernoctl list` and `status`: neither doit nor a heavy library is loaded, so that they answer in milliseconds."""

from __future__ import annotations

import json
import os

from inferno.base.text import visible
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.settings import load_settings


def list_vms(typed: Typed) -> int:
    from inferno.life import status

    settings = load_settings()
    if os.geteuid() != 0 and not settings.db_path.exists():
        say(f"there are no VMs under {settings.root}; to see root's: sudo infernoctl list")
    found, wanted = status.list_all(settings), typed.text("state")
    if wanted:
        found = [row for row in found if row.state == wanted]
    rows = [row._asdict() for row in found]
    if _as_json(typed):
        print(json.dumps(rows))
        return 0
    print_table(rows, ("name", "state", "image", "vcpus", "memory", "ip", "version"))
    return 0


def status(typed: Typed) -> int:
    from inferno.life import status

    found = status.status(load_settings(), typed.name)._asdict()
    if _as_json(typed):
        print(json.dumps(found))
    else:
        width = max(map(len, found))
        for key, value in found.items():
            print(f"{key:<{width}}  {'-' if value is None else visible(str(value))}")
    return 0


def _as_json(typed: Typed) -> bool:
    return typed.flag("json") or typed.text("format") == "json"
