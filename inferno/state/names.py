"""What a VM may be called."""

from __future__ import annotations

import re
from collections.abc import Iterable

from inferno.base.errors import UsageError

# `kiln` is the directory that holds every version's jail (vms/kiln/<ULID>), the next a link to it
# (inferno/sandbox/jail.py); the last has the log of all VMs.
RESERVED = frozenset({"kiln", "firecracker-kiln", "vm_combined"})
_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"


def check_name(name: str) -> str:
    """Return `name` if it may name a VM; raise UsageError otherwise."""
    if name in RESERVED:
        raise UsageError(f"VM name {name!r} is reserved", "choose another name")
    if not re.fullmatch(_NAME, name):
        raise UsageError(
            f"bad VM name {name!r}",
            "use 1 to 63 of a-z, 0-9, '-' and '_', starting with a letter or digit",
        )
    return name


def host_name(name: str) -> str:
    """What the VM of that name is called as a host: no host name has a `_` (RFC 952). No two VMs share one."""
    return name.replace("_", "-")


def unknown(name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that no VM has, with a guess among the `known` ones."""
    from inferno.base import guess  # only for a name that is wrong

    near = guess.near(name, known)
    return UsageError(f"there is no VM {name!r}", f"did you mean {near!r}?" if near else "infernoctl list")
