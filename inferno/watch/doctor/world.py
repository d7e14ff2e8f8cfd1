"""What the rules look at: the settings, this host's files, and the VMs that run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferno.base.requirements import Check
from inferno.life.instance import Instance
from inferno.settings import Settings
from inferno.state.database import State
from inferno.state.paths import Paths, VersionDir
from inferno.watch.doctor.rule import NotApplicableError, Rule


@dataclass(frozen=True, slots=True)
class Running:
    """A VM that runs, and which version of it."""

    vm: Instance
    version: VersionDir

    @property
    def name(self) -> str:
        return self.vm.name

    @property
    def ulid(self) -> str:
        return self.version.ulid

    def config(self, name: str) -> dict[str, Any]:
        """A trusted config beside the jail. Raises OSError or ValueError when it is not there or broken."""
        found = json.loads(self.version.file(name).read_text())
        if not isinstance(found, dict):
            raise ValueError(f"{name} is no object")
        return found


@dataclass(frozen=True, slots=True)
class World:
    """`root` is `/`; tests put a tree of their own there."""

    settings: Settings
    vms: tuple[Instance, ...]
    root: Path = Path("/")

    @classmethod
    def of(cls, settings: Settings) -> World:
        if not settings.db_path.exists():
            return cls(settings, ())
        state = State(settings.db_path)
        try:
            return cls(settings, tuple(Instance.of(settings, row) for row in state.vms()))
        finally:
            state.close()

    @property
    def paths(self) -> Paths:
        return Paths(self.settings.root)

    def running(self) -> list[Running]:
        found = ((vm, vm.running()) for vm in self.vms)
        return [Running(vm, version) for vm, version in found if version is not None]

    def observed(self) -> list[Running]:
        """The VMs that run. Raises NotApplicableError when none does."""
        return self.running() or _none_runs()

    def rule(self, number: int, must: bool, what: str, reason: str, probe: Callable[[World], None]) -> Rule:
        """The rule that the probe asks of this world."""
        return Rule(number, must, Check(what, reason, lambda: probe(self)))

    def file(self, name: str) -> Path:
        """A file of this host's, by its path without the first slash."""
        return self.root / name

    def read(self, name: str) -> str | None:
        """Its text; None without it."""
        try:
            return self.file(name).read_text(errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None


def _none_runs() -> list[Running]:
    raise NotApplicableError("no VM runs now")
