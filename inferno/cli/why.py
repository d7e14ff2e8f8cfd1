"""`infernoctl why`: what made the current version of a VM, and what is different now."""

from __future__ import annotations

from typing import NamedTuple

from inferno.base.text import visible
from inferno.console.answer import print_json
from inferno.console.typed import Typed
from inferno.life import status
from inferno.settings import load_settings
from inferno.state.paths import Paths
from inferno.version import why as reasons


class Why(NamedTuple):
    """Why the current version was made, and what the next create would find changed; a line each."""

    name: str
    version: str
    built_because: list[str]
    out_of_date: list[str]


def why(typed: Typed) -> int:
    settings, name = load_settings(), typed.name
    row = status.row(settings, name)
    because, changed = reasons.told(Paths(settings.root), str(row.version)), reasons.pending(settings, row)
    if typed.flag("json"):
        print_json(Why(name, str(row.version), because, changed))
        return 0
    print(f"{name} is version {row.version}")
    for line in because:
        print(f"  built because  {visible(line)}")
    for line in changed:
        print(f"  out of date    {visible(line)}")
    return 0
