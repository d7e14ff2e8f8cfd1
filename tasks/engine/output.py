"""What one command says, to a person and to a program, and the exit status it ends with."""

from __future__ import annotations

from collections.abc import Callable

from inferno.console import errors
from inferno.console.progress import Show


class Output:
    """`at_end` is done once all tasks have succeeded: printing results, following a VM. Each gives an exit status."""

    def __init__(self) -> None:
        self.progress = Show()
        self.at_end: list[Callable[[], int | None]] = []
        self.exit_status: int | None = None

    @property
    def quiet(self) -> bool:
        return self.progress.quiet

    @quiet.setter
    def quiet(self, wanted: bool) -> None:
        self.progress.quiet = wanted

    def say(self, text: str) -> None:
        """One line for a person, unless that was not wanted."""
        self.progress.close()
        if not self.quiet:
            errors.say(text)
