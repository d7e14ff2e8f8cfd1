"""Up to date by inputs: a value computed now, compared with the one saved at the last success."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inferno.errors import InfernoError


class Unchanged:
    """An `uptodate` item of doit (see doit.tools.config_changed), which goes by the names of its arguments.

    One per task. JSON values only.
    """

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    def configure_task(self, task: Any) -> None:
        task.value_savers.append(lambda: {"inputs": self._digest()})

    def __call__(self, task: Any, values: dict[str, Any]) -> bool:
        try:
            return bool(values.get("inputs") == self._digest())
        except (InfernoError, OSError):
            return False

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._compute(), sort_keys=True).encode()).hexdigest()


def identity(path: Path) -> list[int] | None:
    """What the file system says of a file: a changed one has another. None when it is missing."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return None
    return [info.st_mtime_ns, info.st_size, info.st_ino]
