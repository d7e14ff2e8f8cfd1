"""`infernoctl why`: what made the current version of a VM, and what is different now."""

from __future__ import annotations

import json

from inferno.base.text import visible
from inferno.console.typed import Typed
from inferno.life import status
from inferno.settings import load_settings
from inferno.state.paths import Paths
from inferno.version import why as reasons


def why(typed: Typed) -> int:
    settings, name = load_settings(), typed.name
    row = status.row(settings, name)
    because, changed = reasons.told(Paths(settings.root), str(row.version)), reasons.pending(settings, row)
    if typed.flag("json"):
        print(json.dumps({"name": name, "version": row.version, "built_because": because, "out_of_date": changed}))
        return 0
    print(f"{name} is version {row.version}")
    for line in because:
        print(f"  built because  {visible(line)}")
    for line in changed:
        print(f"  out of date    {visible(line)}")
    return 0
