"""What `doit` is told in a checkout: pyproject.toml names these, for the folder in which that file lies."""

from __future__ import annotations

from inferno import task_modules
from inferno.base import gc_tuning

gc_tuning.seldom()  # this is the first of Inferno that doit loads
_commands = task_modules.load("engine.doit_commands")
Run, List, Info = _commands.Run, _commands.List, _commands.Info
Clean, Forget, Ignore, Help = _commands.Clean, _commands.Forget, _commands.Ignore, _commands.Help
Loader = task_modules.load("engine.dodo_loader").DodoLoader
Backend = task_modules.load("engine.db").TaskDb
Reporter = task_modules.load("engine.reporter").Reporter
