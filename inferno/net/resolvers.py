"""Which name servers a guest is told of. They are read at each start, so that no version depends on them.

Those that were asked for are taken as they are. Else they are this host's, without those that no guest reaches; where
none is left, those that the host's own stub asks; then those of INFERNO_DNS.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

from inferno.base import files
from inferno.settings import Settings
from inferno.spec.create_options import Spec
from inferno.state.slot import NETWORK
from inferno.wire.start import Resolv

HOST = Path("/etc/resolv.conf")
# Where a stub that listens on the host's loopback says whom it asks itself: systemd-resolved(8), NetworkManager(8), and
# Debian's resolvconf for dnsmasq.
BEHIND_STUBS = (
    Path("/run/systemd/resolve/resolv.conf"),
    Path("/run/NetworkManager/no-stub-resolv.conf"),
    Path("/run/dnsmasq/resolv.conf"),
)
_MAX_BYTES = 64 * 1024
# Loopback, "this host", link-local with the clouds' metadata, multicast and reserved: the fence lets nothing there
# (templates/nft.ruleset.nft), or nobody answers. Python's ipaddress would cost a start some milliseconds.
_NEVER = ("127.0.0.0/8", "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", NETWORK)


class Found(NamedTuple):
    """What a guest is told. `unreachable` has the host's name servers, where it has some and a guest reaches none."""

    resolv: Resolv
    unreachable: list[str]


class _File(NamedTuple):
    servers: list[str]
    search: list[str]
    options: list[str]


def of_start(spec: Spec, settings: Settings, host: Path = HOST, behind: tuple[Path, ...] = BEHIND_STUBS) -> Found:
    """What was asked for, each kind by itself; for the rest what this host has now."""
    read, servers, unreachable = _of_host(host, behind)
    if spec.dns:
        servers, unreachable = spec.dns, []
    elif not servers:
        servers = list(settings.dns)
    search = spec.dns_search or read.search
    resolv = Resolv(servers, [domain for domain in search if domain != "."], spec.dns_option or read.options)
    return Found(resolv, [] if servers else unreachable)


def _of_host(host: Path, behind: tuple[Path, ...]) -> tuple[_File, list[str], list[str]]:
    """The file that counts, its servers that guests reach, and the host's servers where they reach none."""
    first = _read(host)
    for path in (host, *behind):  # a host without a server asks its own loopback: resolv.conf(5)
        read = _read(path)
        reached = [server for server in map(_reached, read.servers) if server]
        if reached:
            return read, reached, []
    return first, [], first.servers


def _read(path: Path) -> _File:
    """resolv.conf(5): of several lines `search` or `domain` the last holds. Empty where there is no such file."""
    words = [line.split() for line in _text(path).splitlines()]
    words = [[word for word in line if word] for line in words if line and line[0][0] not in "#;"]
    return _File(
        [line[1] for line in words if line[0] == "nameserver" and len(line) > 1],
        next((line[1:] for line in reversed(words) if line[0] in ("search", "domain")), []),
        [word for line in words if line[0] == "options" for word in line[1:]],
    )


def _text(path: Path) -> str:
    """What another program left there: anything, of any length; a link may lead nowhere."""
    try:
        descriptor = files.open_regular(path)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read(_MAX_BYTES).decode(errors="replace")
        except OSError:
            return ""


def _reached(server: str) -> str | None:
    """The address as guests are to have it; None where they do not reach it: they have IPv4 alone."""
    try:
        packed = socket.inet_aton(server)  # as resolvers read it: 127.1 is one, too
    except (OSError, ValueError):  # the latter for a NUL in it, and for what is not ASCII
        return None
    number, address = int.from_bytes(packed, "big"), socket.inet_ntoa(packed)
    return None if any(_is_in(number, network) for network in _NEVER) or _is_own(address) else address


def _is_in(number: int, network: str) -> bool:
    base, _, length = network.partition("/")
    return (number ^ int.from_bytes(socket.inet_aton(base), "big")) >> (32 - int(length)) == 0


def _is_own(server: str) -> bool:
    """Whether it is an address of this host, which the fence keeps guests from: what goes there would come from it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((server, 53))  # sends nothing
        except OSError:  # no route yet, say
            return False
        return bool(probe.getsockname()[0] == server)
