"""What a command line asks of `create`, for tests: the words of a field's example, and what words are read as."""

from __future__ import annotations

import shlex
from typing import Any

from inferno.console import options
from inferno.console.verbs.table import VERBS
from inferno.spec import create_options
from inferno.spec.option_row import Row


def typed(row: Row) -> list[str]:
    """The words that ask for a field's example."""
    if row.files_of:
        return [f"--{row.files_of}", row.example, f"--{row.long}"]
    if row.kind is None:
        return ["--", *shlex.split(row.example)]
    if row.bare:
        return [f"--{row.long}={row.example}"]
    return [f"--{row.long}"] if row.kind is bool else [f"--{row.long}", row.example]


def given(*words: str) -> dict[str, Any]:
    """The options that words give to create; what follows -- is the command."""
    before, command = options.split_command(list(words))
    found = options.parse("create:web1", VERBS["create"].options, before)[0]
    return found if command is None else {**found, "cmd": command}


def everything() -> dict[str, Any]:
    """Every field asked for by its example."""
    rows = sorted(create_options.ROWS, key=lambda row: row.kind is None)  # the command is the end of a line
    return create_options.asked(given(*(word for row in rows for word in typed(row))))
