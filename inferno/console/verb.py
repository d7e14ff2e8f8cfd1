"""One verb of the task table: its name, what it is asked with, and the module that makes its tasks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tasks.engine.context import Context
    from tasks.engine.task import InfernoTask


@dataclass(frozen=True, slots=True)
class Verb:
    """`subject` says what follows the colon: a VM, an image reference, or nothing."""

    name: str
    subject: Literal["vm", "ref", "once"]
    module: str
    doc: str

    @property
    def options(self) -> list[dict[str, Any]]:
        """The verb's options, as doit's CmdOption takes them."""
        from inferno.console.options import QUIET

        table: dict[str, list[dict[str, Any]]] = getattr(importlib.import_module(self.module), "OPTIONS", {})
        return [*table.get(self.name, []), QUIET]

    def tasks(self, context: Context, subject: str) -> Iterable[InfernoTask]:
        """The tasks of `verb:subject` (usually one). They name what they depend on; the loader fetches that."""
        make: Callable[[Context, str], Iterable[InfernoTask]] = getattr(importlib.import_module(self.module), self.name)
        return make(context, subject)
