"""The name servers that this host asks, for its guests: read at each start, so that no version depends on them."""

from __future__ import annotations

from pathlib import Path

from inferno.wire.start import Resolv


def of_host(path: Path = Path("/etc/resolv.conf")) -> Resolv:
    """Without those on the host's own loopback, which no guest can reach; as Docker does. Empty without the file."""
    text = path.read_text(errors="replace") if path.exists() else ""
    words = [line.split() for line in text.splitlines()]
    servers = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and not _is_loopback(w[1])]
    return Resolv(
        nameservers=servers,
        search=next((w[1:] for w in reversed(words) if w and w[0] == "search"), []),
        options=next((w[1:] for w in reversed(words) if w and w[0] == "options"), []),
    )


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
