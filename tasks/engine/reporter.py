"""What a person sees of a run, on standard error: a line per task, progress in between, a line per failure."""

from __future__ import annotations

import os
import time
from typing import Any

from inferno.console.errors import report, say


class Reporter:
    """The reporter interface of doit 0.37 (doit/reporter.py)."""

    desc = "Inferno's own: tasks that run, and errors with a hint"

    def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
        self._began: dict[str, float] = {}
        self._failed = False

    def initialize(self, tasks: Any, selected_tasks: Any) -> None: ...

    def get_status(self, task: Any) -> None: ...

    def execute_task(self, task: Any) -> None:
        self._began[task.name] = time.monotonic()
        if task.actions and not _is_quiet(task):
            say(f".  {task.title()}")

    def add_success(self, task: Any) -> None:
        _release(task)
        spent = time.monotonic() - self._began[task.name]
        if spent > 1 and task.actions and not _is_quiet(task):
            say(f"   {task.title()}: {spent:.1f} s")

    def add_failure(self, task: Any, fail: Any) -> None:
        _release(task)
        failure = getattr(task, "failure", None)
        if failure:
            report(failure, task.name)
        elif not self._failed:  # later ones only say that a dependency failed
            text = fail.get_msg() if os.environ.get("INFERNO_DEBUG") else _last_line(fail)
            say(f"error: {task.name}: {text}")
        self._failed = True

    def skip_uptodate(self, task: Any) -> None:
        if task.actions and not _is_quiet(task):
            say(f"-- {task.title()}")

    def skip_ignore(self, task: Any) -> None:
        say(f"!! {task.title()}")

    def cleanup_error(self, exception: Any) -> None:
        say(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        say(f"error: {msg}")

    def teardown_task(self, task: Any) -> None: ...

    def complete_run(self) -> None: ...


def _is_quiet(task: Any) -> bool:
    return hasattr(task, "command") and bool(task.command.output.quiet)


def _release(task: Any) -> None:
    """doit's own group tasks hold nothing; ours give back their lock and clear their progress line."""
    if hasattr(task, "release"):
        task.command.output.progress.close()
        task.release()


def _last_line(fail: Any) -> str:
    lines: list[str] = [line for line in fail.get_msg().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "failed"
