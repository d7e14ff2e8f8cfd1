"""doit's Task with three things more: a lock per shared resource, undo when it fails, expected errors as one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from doit.exceptions import TaskError, TaskFailed
from doit.globals import Globals
from doit.task import Task

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.console.errors import report

from .command import Command

Action = Callable[[], dict[str, Any] | None]


class InfernoTask(Task):  # type: ignore[misc]  # doit has no types
    """A task of Inferno.

    `shared` names a lock held while the task runs and until its success is recorded; once it is held, the task asks
    again whether it is up to date, as another process may have done the work meanwhile. `vm` is the VM whose undo
    stack is unwound when the task fails. `always` tasks run whenever they are asked for. `made` are the files that the
    targets name. `cleaner` is what `doit clean` does.
    """

    def __init__(
        self,
        name: str,
        action: Action | None,
        *,
        command: Command,
        vm: str | None = None,
        shared: str | None = None,
        always: bool = False,
        uptodate: Sequence[Any] = (),
        made: Callable[[], list[Path]] = list,
        cleaner: Callable[[], None] | None = None,
        **known: Any,
    ) -> None:
        checks = [False] if always else [_guard(item) for item in uptodate]
        super().__init__(name, [action] if action else None, uptodate=checks, verbosity=2, **known)
        self.action, self.command, self.vm, self.shared, self.always = action, command, vm, shared, always
        self.made, self.cleaner = made, cleaner
        self.failure: InfernoError | None = None
        self.held = contextlib.ExitStack()

    value_savers: list[Any]  # doit's own

    def _failed(self, error: InfernoError) -> TaskFailed:
        self.failure = error
        self.command.output.exit_status = error.status
        return TaskFailed(error.text)

    def execute(self, stream: Any) -> TaskFailed | TaskError | None:
        manager = Globals.dep_manager
        self.executed = True
        done = False
        try:
            self.command.transaction.check_interrupted()
            if self.shared and self._waited_for_another(manager):
                self.values = manager.get_values(self.name)
            else:
                if not self.always:  # nobody asks whether such a task was done, and `stop` has to work on a full disk
                    manager.backend.started(self.name)
                self.values.update((self.action() if self.action else None) or {})
            done = True
            return None
        except InfernoError as error:
            self.command.transaction.check_interrupted()  # then it failed because what it waited for was ended
            return self._failed(error)
        except Exception as error:
            if files.is_full(error):
                return self._failed(files.disk_full(self.command.asked.paths.root))
            # A bug of ours: the reporter shows its last line, INFERNO_DEBUG=1 all of it.
            return TaskError(f"{type(error).__name__}: {error}", error)
        finally:  # on KeyboardInterrupt too
            if not done:
                if self.vm:
                    self.command.transaction.failed(self.vm)
                self.held.close()

    def clean(self, outstream: Any, dryrun: bool) -> None:
        """What `doit clean` calls. An expected error is said in a line, and the next task is cleaned."""
        if self.cleaner is None:
            return
        if dryrun:
            outstream.write(f"{self.name}: would be removed, unless a version has it\n")
            return
        try:
            self.cleaner()
        except InfernoError as error:
            self._failed(error)
            report(error, self.name)

    def release(self) -> None:
        """Give the shared lock back: the reporter calls this once success or failure is on record."""
        self.held.close()

    def _waited_for_another(self, manager: Any) -> bool:
        """Take the lock; whether somebody else did this task's work meanwhile."""
        self.held.enter_context(files.lock(self.command.asked.paths.lock(str(self.shared)), self.name))
        manager.backend.reload(self.name)
        savers, self.value_savers = self.value_savers, []
        status = manager.get_status(self, {}).status
        self.value_savers = savers
        return bool(status == "up-to-date")


def _guard(item: Any) -> Any:
    """doit aborts the run with a traceback when a check raises: an expected error only means "not up to date"."""
    if not callable(item) or hasattr(item, "configure_task"):
        return item

    def check(task: Any, values: dict[str, Any]) -> bool:
        try:
            return bool(item())
        except (InfernoError, OSError):
            return False

    return check
