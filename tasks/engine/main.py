"""`infernoctl VERB NAME …` on doit's engine: the same tasks as `doit VERB:NAME …`, in this process."""

from __future__ import annotations

from typing import Any

import doit.plugin
from doit.doit_cmd import DoitMain, reset_vars

from . import commands
from .loader import Loader


class Main(DoitMain):  # type: ignore[misc]  # doit has no types
    """doit without the files of the working directory, without variables on the command line, without plugins."""

    BIN_NAME = "infernoctl"
    DOIT_CMDS = (commands.Run, commands.List, commands.Info, commands.Clean, commands.Forget)

    def __init__(self, preset: dict[str, dict[str, Any]]) -> None:
        super().__init__(Loader(preset), config_filenames=())

    def process_args(self, cmd_args: list[str]) -> list[str]:
        reset_vars()
        return list(cmd_args)


def run(tasks: list[str], preset: dict[str, dict[str, Any]]) -> int:
    """Run the named tasks with options already read; return the exit status."""
    # Looking for plugins reads the metadata of every installed distribution, three times over.
    doit.plugin.entry_points_impl = lambda: lambda group: ()
    return int(Main(preset).run(["run", *tasks]) or 0)
