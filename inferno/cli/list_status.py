"""`infernoctl list` and `status`: neither doit nor a heavy library is loaded, so that they answer in milliseconds."""

from __future__ import annotations

import os

from inferno.base.text import visible
from inferno.console.answer import print_json
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.settings import Settings, load_settings
from inferno.state import paths


def list_vms(typed: Typed) -> int:
    from inferno.life import status

    settings = load_settings()
    if os.geteuid() != 0 and not settings.db_path.exists():
        say(f"there are no VMs under {settings.root}; to see root's: sudo infernoctl list")
    found, wanted = status.list_all(settings), typed.text("state")
    if wanted:
        found = [row for row in found if row.state == wanted]
    if _as_json(typed):
        print_json(found)
        return 0
    _say_who_starts(settings)
    print_table([row._asdict() for row in found], ("name", "state", "image", "vcpus", "memory", "ip", "version"))
    return 0


def status(typed: Typed) -> int:
    from inferno.life import status

    settings = load_settings()
    found = status.status(settings, typed.name)
    if _as_json(typed):
        print_json(found)
    else:
        _say_who_starts(settings)
        width = max(map(len, found._fields))
        for key, value in found._asdict().items():
            print(f"{key:<{width}}  {'-' if value is None else visible(str(value))}")
    return 0


def _say_who_starts(settings: Settings) -> None:
    """One line where another INFERNO_ROOT has the network, so that none of these VMs can be started."""
    if paths.is_noted(settings.root) is False:
        from inferno.life import network_owner

        if other := network_owner.other(settings):
            say(f"no VM of {settings.root} can start: {other.text}")


def _as_json(typed: Typed) -> bool:
    return typed.flag("json") or typed.text("format") == "json"
