"""The loader of `doit` in a checkout: what dodo.py declares, and the tasks that the command line names.

pyproject.toml chooses it. With -f another file is read in the place of dodo.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import doit.plugin
from doit.cmd_base import DodoTaskLoader
from doit.task import Task

from inferno.settings import load_settings
from inferno.state import guard

from ..stages import Creator
from .loader import Loader

# The backend and the reporter are those of pyproject.toml, or doit's own. To look for others, doit would read the
# metadata of every installed distribution for each of the two.
doit.plugin.entry_points_impl = lambda: lambda group: ()


class DodoLoader(Loader, DodoTaskLoader):  # type: ignore[misc]  # doit has no types
    """Verbs are those for which the file has a creator; its other tasks may depend on theirs."""

    namespace: dict[str, Any]

    def setup(self, opt_values: dict[str, Any]) -> None:
        settings = load_settings()
        if file := _dodo_file(opt_values):  # which is run now, whatever the command
            guard.check_program(settings, file)
        DodoTaskLoader.setup(self, opt_values)
        found = {name: value for name, value in self.namespace.items() if isinstance(value, Creator)}
        # doit would look each of these up in its source, and make a task of it.
        self.namespace = {name: value for name, value in self.namespace.items() if name not in found}
        self.verbs = [creator.verb for creator in found.values()]
        self.begin(opt_values, settings)

    def load_doit_config(self) -> dict[str, Any]:
        return {**DodoTaskLoader.load_doit_config(self), **super().load_doit_config()}

    def declared(self, cmd: Any, words: list[str]) -> dict[str, Task]:
        return {task.name: task for task in DodoTaskLoader.load_tasks(self, cmd, words)}


def _dodo_file(options: dict[str, Any]) -> Path | None:
    """The file that doit is about to read; None without one, which doit says better."""
    file = Path(options["dodoFile"]).absolute()
    above = [parent / file.name for parent in file.parent.parents] if options["seek_file"] else []
    return next((path for path in (file, *above) if path.exists()), None)
