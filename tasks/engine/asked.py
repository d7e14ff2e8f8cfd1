"""What one command asks for: its tasks, their options, and what follows from both for VMs and images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from inferno.console import ask
from inferno.image.source import Access
from inferno.image.stamp import split
from inferno.image.wanted import Wanted, wanted
from inferno.settings import Settings
from inferno.spec import create_options
from inferno.state import names
from inferno.state.database import State, VmRow
from inferno.state.paths import Paths
from inferno.version.plan import Plan

_OF_IMAGES = ("pull", "platform", "authfile", "creds")


class Asked:
    """`selected` are the tasks to be run, in order; none when the command only looks.

    `options` are by task, then by name.
    """

    def __init__(
        self,
        settings: Settings,
        selected: tuple[str, ...] = (),
        options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self.settings, self.selected, self.options = settings, selected, options
        self._plans: dict[str, Plan] = {}
        self._images: dict[str, Wanted] = {}  # each once: a password is asked for once

    @cached_property
    def state(self) -> State:
        return State(self.settings.db_path)

    @property
    def paths(self) -> Paths:
        return Paths(self.settings.root)

    def given(self, task: str) -> Mapping[str, Any]:
        """The options of `task` on the command line."""
        return self.options.get(task, {})

    def row(self, name: str) -> VmRow:
        """The VM's row. Raises UsageError, with a guess, when there is no such VM."""
        names.check_name(name)
        row = self.state.vm(name)
        if row is None or row.version is None:
            raise names.unknown(name, self.state.names())
        return row

    def plan(self, name: str) -> Plan:
        """What the VM's next version is to be made from: the same for each of its tasks. Raises UsageError.

        Its spec is what was saved, and over it what is asked of create:NAME.
        """
        if name not in self._plans:
            row = self.state.vm(names.check_name(name))
            asked = create_options.asked(dict(self.given(f"create:{name}")))
            self._plans[name] = Plan(self.settings, name, create_options.merge(row.spec if row else None, asked, name))
        return self._plans[name]

    def image(self, subject: str) -> Wanted:
        """The image of `image:SUBJECT`, as asked of that task, or of the create that needs it. Raises UsageError."""
        if subject not in self._images:
            self._images[subject] = self._image(subject)
        return self._images[subject]

    def _image(self, subject: str) -> Wanted:
        for task, given in self.options.items():
            verb, _, name = task.partition(":")
            if verb in ("image", "rootfs") and name == subject:
                ref, platform = split(subject)
                return _wanted(ref, {**given, "platform": platform})
            if verb == "create":
                spec = self.plan(name).spec
                found = Wanted(spec.image, Access(spec.platform))
                if found.subject == subject:
                    return _wanted(spec.image, {**given, "platform": spec.platform})
        ref, platform = split(subject)
        return _wanted(ref, {"platform": platform})


def _wanted(ref: str, given: Mapping[str, Any]) -> Wanted:
    return wanted(ref, password=ask.registry_password, **{name: given.get(name) for name in _OF_IMAGES})
