"""`infernoctl env` and `version`."""

from __future__ import annotations

from typing import NamedTuple

from inferno import __version__
from inferno.console.answer import print_json
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.settings import explain_settings


class InForce(NamedTuple):
    """A setting: what it is, as the environment would have it, and where it comes from."""

    value: str
    source: str


class Version(NamedTuple):
    version: str


def env(typed: Typed) -> int:
    """`env print` is the predecessor's."""
    found = explain_settings()
    if typed.flag("json"):
        print_json({each.name: InForce(each.value, each.source) for each in found})
    else:
        print_table([{**each._asdict(), "value": each.value or None} for each in found], ("name", "value", "source"))
    return 0


def version(typed: Typed) -> int:
    if typed.flag("json"):
        print_json(Version(__version__))
    else:
        print(f"infernoctl {__version__}")
    return 0
