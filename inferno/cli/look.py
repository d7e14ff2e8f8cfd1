"""The verbs that only look: list, status, why, env, version. No doit, no heavy library: they answer in milliseconds."""

from __future__ import annotations

import json
import os

from inferno import __version__
from inferno.base.text import visible
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.settings import explain_settings, load_settings
from inferno.state.paths import Paths


def list_vms(typed: Typed) -> int:
    from inferno.life import status

    settings = load_settings()
    if os.geteuid() != 0 and not settings.db_path.exists():
        say(f"no VM was ever made under {settings.root}; those of root: sudo infernoctl list")
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


def why(typed: Typed) -> int:
    """What made the current version, and what is different now."""
    settings, name = load_settings(), typed.name
    from inferno.life import status
    from inferno.version import why as reasons

    row = status.row(settings, name)
    because, changed = reasons.told(Paths(settings.root), str(row.version)), reasons.pending(settings, name)
    if typed.flag("json"):
        print(json.dumps({"name": name, "version": row.version, "built_because": because, "out_of_date": changed}))
        return 0
    print(f"{name} is version {row.version}")
    for line in because:
        print(f"  built because  {visible(line)}")
    for line in changed:
        print(f"  out of date    {visible(line)}")
    return 0


def env(typed: Typed) -> int:
    """`env print` is the predecessor's."""
    found = explain_settings()
    if typed.flag("json"):
        print(json.dumps({each.name: {"value": each.value, "source": each.source} for each in found}))
    else:
        print_table([{**each._asdict(), "value": each.value or None} for each in found], ("name", "value", "source"))
    return 0


def version(typed: Typed) -> int:
    print(json.dumps({"version": __version__}) if typed.flag("json") else f"infernoctl {__version__}")
    return 0


def _as_json(typed: Typed) -> bool:
    return typed.flag("json") or typed.text("format") == "json"
