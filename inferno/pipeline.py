"""For a dodo.py of one's own: `from inferno.pipeline import *`, then vm("web1", image="nginx:latest", memory=256).

It brings `vm`, doit's settings, and a creator of tasks for each verb. docs/pipeline/dodo.py is one to copy, and
docs/pipelines.md says what stock doit cannot give.
"""

from inferno import task_modules

_pipeline = task_modules.load("pipeline")
_creators = {f"task_{verb}": _pipeline.creator(verb) for verb in _pipeline.TASKS}
vm = _pipeline.vm
DOIT_CONFIG = _pipeline.CONFIG
globals().update(_creators)
__all__ = ["DOIT_CONFIG", "vm", *_creators]  # noqa: PLE0604  # all of them are strings
