"""Facts of this host that are rendered into a version's files."""

from __future__ import annotations

import hmac
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")


def machine_id(name: str) -> str:
    """The machine-id(5) of VM `name`: another for each name and host, and nothing is learnt of the host's from it."""
    secret = MACHINE_ID.read_bytes().strip() if MACHINE_ID.exists() else b""
    return hmac.new(secret, f"inferno:{name}".encode(), "sha256").hexdigest()[:32]
