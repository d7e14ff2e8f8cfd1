"""`infernoctl env` and `version`."""

from __future__ import annotations

import json

from inferno import __version__
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.settings import explain_settings


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
