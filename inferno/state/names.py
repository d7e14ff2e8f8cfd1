"""What a VM may be called."""

from __future__ import annotations

import re

from inferno.base.errors import UsageError

# `kiln` is the directory that holds every version's jail (vms/kiln/<ULID>), the other a link to it
# (inferno/sandbox/jail.py).
RESERVED = frozenset({"kiln", "firecracker-kiln"})
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_name(name: str) -> str:
    """Return `name` if it may name a VM; raise UsageError otherwise."""
    if name in RESERVED:
        raise UsageError(f"VM name {name!r} is reserved", "choose another name")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"bad VM name {name!r}",
            "use 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit",
        )
    return name
