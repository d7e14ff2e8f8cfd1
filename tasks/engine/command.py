"""One command: what was asked, the locks and undo it holds, and what it says. Every task is made from it."""

from __future__ import annotations

from collections.abc import Callable

from inferno.base.named_tuple import NamedTuple

from .asked import Asked
from .output import Output
from .transaction import Transaction


class Command(NamedTuple):
    asked: Asked
    transaction: Transaction
    output: Output

    def progress(self, what: str, done: int | None = None, total: int | None = None, *, detail: str = "") -> None:
        """The base.progress.Progress of its tasks: between two steps of long work, the end may have been asked for."""
        self.transaction.check_interrupted()
        self.output.progress(what, done, total, detail=detail)

    def after(self, task: str, action: Callable[[], int | None]) -> None:
        """Once all tasks have succeeded, do this, if `task` was asked for by name."""
        if task in self.asked.selected:
            self.output.at_end.append(action)
