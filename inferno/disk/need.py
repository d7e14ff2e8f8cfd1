"""What a scratch disk is made from, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferno.errors import InfernoError
from inferno.paths import VersionDir


@dataclass(frozen=True, slots=True)
class Need:
    """The scratch of the next run of `version`: like `template`, and open to `uid` and `gid` alone."""

    version: VersionDir
    template: Path
    uid: int
    gid: int

    def template_is_missing(self) -> InfernoError:
        return InfernoError(f"{self.template} is missing", "create the VM again; its spec is remembered")
