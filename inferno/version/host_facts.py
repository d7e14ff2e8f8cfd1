"""Facts of this host that are rendered into a version's files."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferno.wire import models


MACHINE_ID = Path("/etc/machine-id")
RESOLVERS = Path("/etc/resolv.conf")


def machine_id(name: str) -> str:
    """The machine-id(5) of VM `name`: another for each name and host, and nothing is learnt of the host's from it."""
    secret = MACHINE_ID.read_bytes().strip() if MACHINE_ID.exists() else b""
    return hmac.new(secret, f"inferno:{name}".encode(), "sha256").hexdigest()[:32]


def resolv() -> models.Resolv:
    """The host's resolvers, without those on the host's own loopback, which no guest can reach; as Docker does."""
    from inferno.wire import models

    words = [line.split() for line in (RESOLVERS.read_text().splitlines() if RESOLVERS.exists() else ())]
    servers = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and not _loopback(w[1])]
    return models.Resolv(
        nameservers=servers,
        search=next((w[1:] for w in reversed(words) if w and w[0] == "search"), []),
        options=next((w[1:] for w in reversed(words) if w and w[0] == "options"), []),
    )


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
