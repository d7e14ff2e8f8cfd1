"""What one command holds, and gives back: locks, and the undo of what it made. Once a signal came, it ends."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict

from inferno.base import files, interruption
from inferno.base.errors import InfernoError, UsageError
from inferno.console import errors
from inferno.image import local_images
from inferno.settings import Settings
from inferno.state.paths import Paths


class Transaction:
    """Locks are held until `release`. Each VM has an undo stack, which the tasks of the command share."""

    def __init__(self, settings: Settings) -> None:
        self.interrupted: KeyboardInterrupt | None = None
        self.is_parallel = False
        self._lock = threading.Lock()
        self._settings = settings
        self._held = contextlib.ExitStack()
        self._locked: set[str] = set()
        self._uses_images = False
        self._undo: dict[str, contextlib.ExitStack] = defaultdict(contextlib.ExitStack)

    def interrupt(self, end: KeyboardInterrupt) -> None:
        """For the handler of a signal. Raises `end`; but tasks in threads are asked to end at their next step."""
        self.interrupted = end
        if not self.is_parallel:
            raise end
        interruption.ask()

    def check_interrupted(self) -> None:
        """Raises KeyboardInterrupt once a signal asked for the end.

        The signal's handler did that before; but Python swallows it where nobody could catch it, as in a destructor.
        """
        if self.interrupted:
            raise self.interrupted

    def lock(self, name: str, what: str) -> None:
        """Take the VM's lock. Says who holds it while it waits."""
        if name in self._locked:
            return
        path = Paths(self._settings.root).vm_lock(name)
        try:
            self._held.enter_context(files.lock(path, what, wait=False))
        except PermissionError:
            raise UsageError(f"{path.parent} cannot be written", "run it with sudo") from None
        except files.BusyError as busy:
            errors.say(f"waiting: {busy.text}")
            self._held.enter_context(files.lock(path, what))
        self._locked.add(name)

    def use_images(self) -> None:
        """Keep images from being pruned."""
        if not self._uses_images:
            self._held.enter_context(local_images.lock(self._settings, "create"))
            self._uses_images = True

    def undo(self, name: str) -> contextlib.ExitStack:
        """The VM's undo stack: pushed to by every task of the command, unwound in reverse when one fails."""
        with self._lock:
            return self._undo[name]

    def failed(self, name: str) -> None:
        """A task of VM `name` failed: what was made for it is undone, at the end if other threads may be at it now."""
        if threading.current_thread() is threading.main_thread():
            self.unwind(name)

    def unwind(self, name: str | None = None) -> None:
        """Undo what this command made for VM `name`, or for all."""
        for each in [name] if name else list(self._undo):
            if each in self._undo:
                try:
                    self._undo.pop(each).close()
                except (InfernoError, OSError) as error:  # the rest is undone; what failed first stays the failure
                    errors.say(f"{each}: not all could be undone: {error}")

    def release(self) -> None:
        """Give the locks back; what was made and not unwound stays."""
        for stack in self._undo.values():
            stack.pop_all()
        self._undo.clear()
        self._held.close()
        self._locked.clear()
        self._uses_images = False
