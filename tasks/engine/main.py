"""`infernoctl VERB NAME …` and `infernoctl task …` on doit's engine: the same tasks as `doit VERB:NAME …`."""

from __future__ import annotations

from typing import Any

import doit.plugin
from doit.doit_cmd import DoitMain, reset_vars

from . import doit_commands
from .db import TaskDb
from .loader import Loader
from .reporter import Reporter


class Main(DoitMain):  # type: ignore[misc]  # doit has no types
    """doit without the files of the working directory, without variables on the command line, without plugins."""

    BIN_NAME = "infernoctl task"
    DOIT_CMDS = (
        *(doit_commands.Run, doit_commands.List, doit_commands.Info, doit_commands.Clean),
        *(doit_commands.Forget, doit_commands.Ignore, doit_commands.Help),
    )

    def __init__(self, preset: dict[str, dict[str, Any]]) -> None:
        plugins = {"BACKEND": {"inferno": _place(TaskDb)}, "REPORTER": {"inferno": _place(Reporter)}}
        super().__init__(Loader(preset), config_filenames=(), extra_config=plugins)

    def process_args(self, cmd_args: list[str]) -> list[str]:
        reset_vars()
        return list(cmd_args)


def _place(plugin: type) -> str:
    """Where doit finds a plugin."""
    return f"{plugin.__module__}:{plugin.__qualname__}"


def run(tasks: list[str], preset: dict[str, dict[str, Any]]) -> int:
    """Run the named tasks with options already read; return the exit status."""
    return command(["run", *tasks], preset)


def command(words: list[str], preset: dict[str, dict[str, Any]] | None = None) -> int:
    """What `doit WORDS` does in a checkout; return the exit status."""
    # Looking for plugins reads the metadata of every installed distribution, three times over.
    doit.plugin.entry_points_impl = lambda: lambda group: ()
    return int(Main(preset or {}).run(words) or 0)
