"""What one run of doit holds: settings, the VMs' specs as asked, locks, undo stacks, and what to do at the end."""

from __future__ import annotations

import contextlib
import difflib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.console import errors
from inferno.console.progress import Show
from inferno.image import local_images
from inferno.image.source import PUBLIC, Access
from inferno.settings import Settings, load_settings
from inferno.spec import fields
from inferno.state import names
from inferno.state.database import State, VmRow
from inferno.state.paths import Paths


@dataclass(frozen=True, slots=True)
class WantedImage:
    """How an image is to be had: as whom, and when a registry is asked (local_images.POLICIES)."""

    access: Access = PUBLIC
    pull: str = "missing"


class Context:
    """Made once per run by the loader, and given to every task creator."""

    def __init__(self) -> None:
        self.settings: Settings = load_settings()
        self.paths = Paths(self.settings.root)
        self.options: dict[str, dict[str, Any]] = {}  # of the tasks named on the command line
        self.exit_status: int | None = None
        self.images: dict[str, WantedImage] = {}  # how to have them, for those that are not to be had as usual
        self.at_end: list[Callable[[], int | None]] = []
        self.selected: list[str] = []
        self.progress = Show()
        self.quiet = False
        self.interrupted: KeyboardInterrupt | None = None
        self._held = contextlib.ExitStack()
        self._locked: set[str] = set()
        self._uses_images = False
        self._undo: dict[str, contextlib.ExitStack] = defaultdict(contextlib.ExitStack)

    @cached_property
    def state(self) -> State:
        return State(self.settings.db_path)

    def check_interrupted(self) -> None:
        """Raises KeyboardInterrupt once a signal asked for the end.

        The signal's handler did that before; but Python swallows it where nobody could catch it, as in a destructor.
        """
        if self.interrupted:
            raise self.interrupted

    def asked(self, task: str) -> dict[str, Any]:
        """The options given to `task` on the command line."""
        return self.options.get(task, {})

    def row(self, name: str) -> VmRow:
        """The VM's row. Raises UsageError, with a guess, when there is no such VM."""
        names.check_name(name)
        row = self.state.vm(name)
        if row is None or row.version is None:
            near = difflib.get_close_matches(name, self.state.names(), 1)
            raise UsageError(f"there is no VM {name!r}", f"did you mean {near[0]!r}?" if near else "infernoctl list")
        return row

    def spec(self, name: str) -> fields.Spec:
        """The spec as it will be: what was saved, and over it what this command line asks of create:NAME."""
        row = self.state.vm(names.check_name(name))
        return fields.merge(row.spec if row else None, fields.asked(self.asked(f"create:{name}")), name)

    def reserve(self, name: str) -> int:
        """The VM's slot; a new VM gets one, which is given back when the run fails."""
        known = self.state.vm(name)
        if known is None or known.version is None:  # the latter: left by a create that was killed
            self.undo(name).callback(self._forget, name)
        return self.state.reserve(name).slot

    def _forget(self, name: str) -> None:
        files.remove_tree(self.paths.vm(name))  # first: on a full disk the database needs the room
        self.state.remove(name)

    def after(self, task: str, action: Callable[[], int | None]) -> None:
        """Once the run has succeeded, do this, if `task` was asked for by name."""
        if task in self.selected:
            self.at_end.append(action)

    def say(self, text: str) -> None:
        """One line for a person, unless that was not wanted."""
        self.progress.close()
        if not self.quiet:
            errors.say(text)

    def lock(self, name: str, what: str) -> None:
        """Take the VM's lock until `release`. Says who holds it while it waits."""
        if name in self._locked:
            return
        path = self.paths.vm_lock(name)
        try:
            self._held.enter_context(files.lock(path, what, wait=False))
        except PermissionError:
            raise UsageError(f"{path.parent} cannot be written", "run it with sudo") from None
        except files.BusyError as busy:
            errors.say(f"waiting: {busy.text}")
            self._held.enter_context(files.lock(path, what))
        self._locked.add(name)

    def use_images(self) -> None:
        """Keep images from being pruned until `release`."""
        if not self._uses_images:
            self._held.enter_context(local_images.lock(self.settings, "create"))
            self._uses_images = True

    def undo(self, name: str) -> contextlib.ExitStack:
        """The VM's undo stack: pushed to by every task of the run, unwound in reverse when one fails."""
        return self._undo[name]

    def unwind(self, name: str | None = None) -> None:
        """Undo what this run made for VM `name`, or for all."""
        for each in [name] if name else list(self._undo):
            if each in self._undo:
                try:
                    self._undo.pop(each).close()
                except (InfernoError, OSError) as error:  # the rest is undone; what failed first stays the failure
                    errors.say(f"{each}: not all could be undone: {error}")

    def keep(self, name: str) -> None:
        """What this run made for VM `name` stays."""
        if name in self._undo:
            self._undo.pop(name).pop_all()

    def release(self) -> None:
        """Give the locks back; what was made and not unwound stays."""
        for name in list(self._undo):
            self.keep(name)
        self._held.close()
        self._locked.clear()
        self._uses_images = False
