"""Up to date by inputs: named values computed now, compared with those saved at the last success."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from inferno.base import debug
from inferno.base.errors import InfernoError


class Unchanged:
    """An `uptodate` item of doit (see doit.tools.config_changed), which goes by the names of its arguments.

    One per task. `compute` names each input; values are JSON.
    """

    def __init__(self, compute: Callable[[], dict[str, Any]]) -> None:
        self._compute = compute

    def configure_task(self, task: Any) -> None:
        task.value_savers.append(lambda: {"inputs": self._digests()})

    def __call__(self, task: Any, values: dict[str, Any]) -> bool:
        try:
            same = bool(values.get("inputs") == self._digests())
        except (InfernoError, OSError):
            same = False
        if debug.tell is not None and not same:
            debug.say(f"{task.name} is out of date: {', '.join(self.changed(values)) or 'it has not run yet'}")
        return same

    def changed(self, values: dict[str, Any]) -> list[str]:
        """The names of the inputs that are not as in `values`, the saved ones; none when nothing was saved."""
        before = values.get("inputs")
        if not isinstance(before, dict):
            return []
        try:
            now = self._digests()
        except (InfernoError, OSError) as error:
            return [str(error)]
        return [name for name in now if before.get(name) != now[name]]

    def _digests(self) -> dict[str, str]:
        """Digests, since the values may be secrets: of the guest's environment, say."""
        texts = {name: json.dumps(value, sort_keys=True) for name, value in self._compute().items()}
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
