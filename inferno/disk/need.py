"""What a scratch disk is made from, and for whom."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inferno.base.errors import InfernoError
from inferno.state.paths import VersionDir


class Need(NamedTuple):
    """The scratch of the next run of `version`: like `template`, and open to `uid` and `gid` alone."""

    version: VersionDir
    template: Path
    uid: int
    gid: int

    @contextlib.contextmanager
    def opened_template(self) -> Iterator[int]:
        """A descriptor to read it by. Raises InfernoError without one."""
        try:
            descriptor = os.open(self.template, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise InfernoError(f"{self.template} is missing", "create the VM again; its spec is remembered") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)
