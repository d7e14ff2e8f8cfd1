"""Whether this host's own network lies where VMs have theirs: then a VM would take over addresses of others.

Asked of the kernel at each start, by netlink: two dumps, 0.1 ms on a host of a few addresses. Only what is Inferno's
own does not count, and routes as wide as a default route, to which that of a VM is the exception that it should be.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from inferno.base.errors import UsageError
from inferno.net import netlink
from inferno.net.netlink import attributes
from inferno.state.slot import NETWORK, from_tap

# include/uapi/linux/rtnetlink.h, if_addr.h
_GETADDR, _GETROUTE, _UNICAST = 22, 26, 1
_IFA_ADDRESS, _IFA_LOCAL, _RTA_DST, _RTA_OIF = 1, 2, 1, 4
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg
# Of 0.0.0.0/1 and 128.0.0.0/1 a VPN makes a default route; what a site routes is at most a class A network.
_WIDEST = 8


class Taken(NamedTuple):
    """What lies in the VMs' range: the interface, and its address or the destination of a route, with a prefix."""

    interface: str
    network: str
    is_route: bool


def check() -> None:
    """Raise UsageError, which names interface and network, where this host's network overlaps that of VMs."""
    for taken in find():
        what = "a route to" if taken.is_route else "the address"
        remove = "route" if taken.is_route else "addr"
        raise UsageError(
            f"the network of VMs, {NETWORK}, overlaps this host's: {taken.interface} has {what} {taken.network}",
            f"VMs would answer in the place of others: ip {remove} del {taken.network} dev {taken.interface},"
            " or run VMs on another host",
        )


def find() -> Iterator[Taken]:
    """What there is of others in the VMs' range: addresses first, then unicast routes of all tables."""
    with netlink.Socket(netlink.ROUTE) as kernel:
        for body in kernel.dump(_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            yield from _address(body)
        for body in kernel.dump(_GETROUTE, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, _UNICAST, 0)):
            yield from _route(body)


def _address(body: bytes) -> Iterator[Taken]:
    _, length, _, _, index = _ADDRESS.unpack_from(body)
    fields = dict(attributes(body[_ADDRESS.size :]))
    for kind in (_IFA_LOCAL, _IFA_ADDRESS):  # the latter: of a tunnel, its other end's
        if (address := fields.get(kind)) and _overlaps(address, length) and (name := _others(index)):
            yield Taken(name, f"{socket.inet_ntoa(address)}/{length}", is_route=False)


def _route(body: bytes) -> Iterator[Taken]:
    _, length, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(body)
    if kind != _UNICAST or length < _WIDEST:
        return
    fields = dict(attributes(body[_ROUTE.size :]))
    if (destination := fields.get(_RTA_DST)) and _overlaps(destination, length):
        index = fields.get(_RTA_OIF)
        name = _others(int.from_bytes(index, "little")) if index else "more than one interface"
        if name:
            yield Taken(name, f"{socket.inet_ntoa(destination)}/{length}", is_route=True)


def _overlaps(address: bytes, length: int) -> bool:
    """Whether an IPv4 network has addresses in common with that of VMs."""
    ours, prefix = NETWORK.split("/")
    shorter = 32 - min(length, int(prefix))
    return int.from_bytes(address, "big") >> shorter == int.from_bytes(socket.inet_aton(ours), "big") >> shorter


def _others(index: int) -> str | None:
    """The name of an interface that is not a TAP of ours; None where it is, or is gone."""
    with contextlib.suppress(OSError):
        name = socket.if_indextoname(index)
        return None if from_tap(name) else name
    return None
