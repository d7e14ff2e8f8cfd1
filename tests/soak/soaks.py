"""Which soaks there are. Each is a module of this package; its docstring says what it attacks, and it has

NEEDS                            "nothing", "root", or "rig" (and root)
place() -> a context manager     what the trials of a sitting share: a rig, or a folder; made anew after a failure
trial(seed, place) -> str        one attack, the same for the same seed; says in some words what it did, or raises
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

NAMES = ("builds", "cuts", "fuzz", "kills", "layers", "parsers", "shake")
Needs = Literal["nothing", "root", "rig"]


@dataclass(frozen=True)
class Soak:
    """A soak as its module has it."""

    name: str
    says: str
    needs: Needs
    place: Callable[[], AbstractContextManager[Any]]
    trial: Callable[[int, Any], str]


def load(name: str) -> Soak:
    """The soak of one of NAMES."""
    module = importlib.import_module(f"tests.soak.{name}")
    return Soak(name, (module.__doc__ or "").strip(), module.NEEDS, module.place, module.trial)
