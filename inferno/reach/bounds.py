"""How much a guest may send to this host in one copy, and how long it may be silent: it may be an attacker's.

The numbers are several times what a scratch disk of the default size holds (5 GiB), and the inodes it has; who copies
more says so (`cp --no-limits`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferno.base.errors import InfernoError

_HINT = "to copy it all the same: --no-limits"
# Less in the time of `idle_s` is not progress: a guest that sends a byte a minute would keep a copy for ever.
LEAST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most bytes of an archive, the most entries in it, and the seconds in which something has to arrive.

    None: without end.
    """

    total_bytes: int | None = 64 << 30
    entries: int | None = 2_000_000
    idle_s: float | None = 60.0

    def metered(self, source: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """The same source, which ends in an InfernoError once more came of it."""
        most = self.total_bytes
        if most is None:
            return source
        came = 0

        def read(length: int) -> bytes:
            nonlocal came
            data = source(length)
            came += len(data)
            if came > most:
                raise InfernoError(f"the guest sends more than {_size(most)}", _HINT)
            return data

        return read

    def check(self, count: int, size: int) -> None:
        """Before an entry is taken: so many came with it, and it says to have so many bytes. Raises InfernoError."""
        if self.entries is not None and count > self.entries:
            raise InfernoError(f"the guest sends more than {self.entries} files", _HINT)
        if self.total_bytes is not None and size > self.total_bytes:
            raise InfernoError(f"the guest sends more than {_size(self.total_bytes)}", _HINT)


STANDARD = Bounds()
NONE = Bounds(None, None, None)


def _size(count: int) -> str:
    return f"{count >> 30} GiB" if count >= 1 << 30 else f"{count} bytes"
