"""What the rules look at: the settings, this host's files, and the VMs that run on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from inferno.base import records
from inferno.base.requirements import Check
from inferno.life.instance import Instance
from inferno.settings import Settings
from inferno.state.database import if_there
from inferno.state.paths import Paths, VersionDir
from inferno.watch.doctor.rule import NotApplicableError, Rule, UnknownError


class Vmm(NamedTuple):
    args: list[str]


class Kiln(NamedTuple):
    """What the rules look at of a kiln.json, whichever release wrote it."""

    firecracker: Vmm
    console_ring_kib: int


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

    @property
    def kiln(self) -> Kiln:
        """What kiln.json says. Raises OSError, or UnknownError for one that is damaged."""
        with _unknown_if_damaged():
            return records.read(Kiln, self.version.file("kiln.json"), newer=True)

    def devices(self, kind: str) -> list[dict[str, object]]:
        """What firecracker.json says of the devices of a kind: drives, network-interfaces. Raises as `kiln`."""
        path = self.version.file("firecracker.json")
        with _unknown_if_damaged():
            found = records.read(dict[str, object], path).get(kind, [])
            return records.of(list[dict[str, object]], found, f"{path}: {kind}")


@dataclass(frozen=True, slots=True)
class World:
    """`root` is `/`; tests put a tree of their own there."""

    settings: Settings
    vms: tuple[Instance, ...]
    root: Path = Path("/")

    @classmethod
    def of(cls, settings: Settings) -> World:
        with if_there(settings.db_path) as state:
            return cls(settings, tuple(Instance.of(settings, row) for row in (state.vms() if state else ())))

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


@contextlib.contextmanager
def _unknown_if_damaged() -> Iterator[None]:
    try:
        yield
    except records.BadRecordError as error:
        raise UnknownError(error.text) from None


def _none_runs() -> list[Running]:
    raise NotApplicableError("no VM runs now")
