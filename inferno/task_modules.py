"""The package of tasks, from beside this one and from nowhere else.

Its name is `inferno_tasks`. In a checkout its folder is called `tasks`, as modules of other projects are: nothing
imports it by the name of that folder, so that none of those can be taken for it.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

_NAME = "inferno_tasks"
_FOLDERS = (_NAME, "tasks")  # as installed; in a checkout


def load(module: str) -> ModuleType:
    """A module of the package by its name in there, such as "engine.main". Raises ImportError where there is none."""
    if _NAME not in sys.modules:
        _load_package()
    return importlib.import_module(f"{_NAME}.{module}")


def _load_package() -> None:
    beside = Path(__file__).resolve().parents[1]
    folder = next((beside / name for name in _FOLDERS if (beside / name / "engine").is_dir()), None)
    if folder is None:
        raise ImportError(f"{beside}: Inferno is not whole here, its tasks are missing")
    init = str(folder / "__init__.py")
    spec = ModuleSpec(_NAME, SourceFileLoader(_NAME, init), origin=init, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    spec.has_location = True
    package = module_from_spec(spec)
    sys.modules[_NAME] = package
    SourceFileLoader(_NAME, init).exec_module(package)
