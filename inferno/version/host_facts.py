"""Facts of this host that are rendered into a version's files."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferno.wire import models


def machine_id(name: str, host: Path = Path("/etc/machine-id")) -> str:
    """The machine-id(5) of VM `name`: another for each name and host, and nothing is learnt of the host's from it."""
    secret = host.read_bytes().strip() if host.exists() else b""
    return hmac.new(secret, f"inferno:{name}".encode(), "sha256").hexdigest()[:32]


def resolv(path: Path = Path("/etc/resolv.conf")) -> models.Resolv:
    """The host's resolvers, without those on the host's own loopback, which no guest can reach; as Docker does."""
    from inferno.wire import models

    words = [line.split() for line in (path.read_text().splitlines() if path.exists() else ())]
    servers = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and not _loopback(w[1])]
    return models.Resolv(
        nameservers=servers,
        search=next((w[1:] for w in reversed(words) if w and w[0] == "search"), []),
        options=next((w[1:] for w in reversed(words) if w and w[0] == "options"), []),
    )


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
