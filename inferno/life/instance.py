"""A VM on this host: its name and slot, and which of its versions runs, ran last, or would run next.

`vms/<name>/started` links to the version that was launched last, from just before the launch until the last trace of
that run is gone. It only says where to look: whether a version runs is asked of the kernel.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from inferno.base import files
from inferno.base.named_tuple import NamedTuple
from inferno.sandbox import cgroup
from inferno.settings import Settings
from inferno.state.database import VmRow
from inferno.state.paths import Paths, VersionDir
from inferno.state.slot import Slot
from inferno.version import versions
from inferno.wire.shared import EXIT_STATUS


class Instance(NamedTuple):
    """`recorded` is the ULID of the version that the database has as current; None for a VM it does not know. `saved`
    is the spec in the database, for what a start reads of it."""

    settings: Settings
    name: str
    slot: Slot
    recorded: str | None
    saved: Mapping[str, object] | None = None

    @classmethod
    def of(cls, settings: Settings, row: VmRow) -> "Instance":
        return cls(settings, row.name, Slot(row.slot), row.version, row.spec)

    @property
    def paths(self) -> Paths:
        return Paths(self.settings.root)

    @property
    def uid(self) -> int:
        return self.slot.uid(self.settings)

    @property
    def gid(self) -> int:
        return self.slot.gid(self.settings)

    def started(self) -> VersionDir | None:
        """The version launched last, while it runs or has left something."""
        return self._linked(self.paths.started(self.name))

    def has_run(self) -> bool:
        """Whether it was ever launched: either what that left is there, or what was kept of its end."""
        return self.started() is not None or (self.paths.vm(self.name) / EXIT_STATUS).exists()

    def versions(self) -> list[VersionDir]:
        """Every version of this VM that may run, or have left something behind, the likeliest first."""
        recorded = self.paths.version(self.recorded) if self.recorded else None
        found = [self.started(), self._linked(self.paths.current(self.name)), recorded]
        # The rest: the links may have been deleted by hand while an older version ran, and made anew by a create.
        found += versions.owned(self.paths, self.name)
        return list(dict.fromkeys(each for each in found if each))

    def running(self) -> VersionDir | None:
        """The version that runs now. It need not be the current one."""
        return next((each for each in self.versions() if cgroup.populated(each.ulid)), None)

    def mark(self, launching: VersionDir) -> None:
        """Note which version is about to be launched."""
        self.paths.vm(self.name).mkdir(parents=True, exist_ok=True)
        files.symlink(f"../{launching.dir.parent.name}/{launching.ulid}", self.paths.started(self.name))

    def unmark(self) -> None:
        """Note that nothing is left of any run."""
        link = self.paths.started(self.name)
        for stale in [link, *link.parent.glob(f".{link.name}.*.tmp")]:  # the latter of a `mark` that was killed
            stale.unlink(missing_ok=True)

    def _linked(self, link: Path) -> VersionDir | None:
        try:
            ulid = os.path.basename(os.readlink(link))
        except OSError:
            return None
        return self.paths.version(ulid) if ulid.isalnum() else None
