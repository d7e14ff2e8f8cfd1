"""An INFERNO_ROOT whose database knows a VM of which nothing else is there."""

from __future__ import annotations

from pathlib import Path

from inferno.state.database import State

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"


def known_vm(root: Path, name: str = "web1") -> Path:
    """Put a database into the folder `root`, with the VM in slot 0, as version ULID. Returns the folder."""
    state = State(root / "inferno.db")
    state.reserve(name)
    state.save(name, {"image": "oci:x"}, ULID)
    state.close()
    return root
