"""What the kernel says of the network of VMs, read with pyroute2: which device, address, route or rule is not as it
should be.

For doctor and for tests, which want to know what is wrong. A start only asks whether all is right, and has not the time
to import pyroute2 (docs/dependencies.md): `tap` and `nft` look by `netlink`.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from inferno.base.errors import InfernoError
from inferno.net import nft
from inferno.net.tap import altname
from inferno.state.slot import Slot, from_tap

_UP, _MULTICAST = 0x1, 0x1000  # include/uapi/linux/if.h
_UNICAST, _MAIN = 1, 254  # RTN_UNICAST, RT_TABLE_MAIN: include/uapi/linux/rtnetlink.h
_INET = 1  # NFPROTO_INET: include/uapi/linux/netfilter.h


class Device(NamedTuple):
    """A network interface. Addresses and the destinations of routes are written with their prefix lengths."""

    name: str
    kind: str  # `tun` of a TAP; empty of what has none, a network card
    altnames: frozenset[str]
    up: bool
    multicast: bool
    owner: int | None  # of a TAP: who may open it
    group: int | None
    addresses: frozenset[str]
    routes: frozenset[str]  # in the main table


def devices() -> dict[str, Device]:
    """All network interfaces of this network namespace, by name. Raises OSError."""
    from pyroute2 import IPRoute

    with _errors(), IPRoute() as kernel:
        addresses = [(row["index"], f"{row.get('IFA_ADDRESS')}/{row['prefixlen']}") for row in kernel.get_addr()]
        routes = [
            (row.get("RTA_OIF"), f"{row.get('RTA_DST') or '0.0.0.0'}/{row['dst_len']}")
            for row in kernel.get_routes(family=socket.AF_INET, table=_MAIN)
            if row["type"] == _UNICAST
        ]
        found = [_device(link, addresses, routes) for link in kernel.get_links()]
    return {device.name: device for device in found}


def _device(link: Any, addresses: list[tuple[int, str]], routes: list[tuple[int, str]]) -> Device:
    index, info = link["index"], link.get("IFLA_LINKINFO")
    kind = info.get("IFLA_INFO_KIND") if info else ""
    tun = info.get("IFLA_INFO_DATA") if kind == "tun" else None
    names = link.get("IFLA_PROP_LIST")
    return Device(
        name=link.get("IFLA_IFNAME"),
        kind=kind,
        altnames=frozenset(names.get_attrs("IFLA_ALT_IFNAME") if names else ()),
        up=bool(link["flags"] & _UP),
        multicast=bool(link["flags"] & _MULTICAST),
        owner=tun.get("IFLA_TUN_OWNER") if tun else None,
        group=tun.get("IFLA_TUN_GROUP") if tun else None,
        addresses=frozenset(text for owner, text in addresses if owner == index),
        routes=frozenset(text for owner, text in routes if owner == index),
    )


def taps() -> list[Slot]:
    """The slots whose TAP is here. Raises OSError."""
    slots = (from_tap(device.name) for device in devices().values() if device.kind == "tun")
    return [slot for slot in slots if slot is not None]


def check_tap(slot: Slot, name: str, uid: int, gid: int) -> None:
    """Raise InfernoError, which says what it is, when the TAP of VM `name` or the way to it is not as it should be."""
    import ipaddress

    here = devices()
    device = here.get(slot.tap)
    if device is None or device.kind != "tun":
        raise InfernoError(f"there is not a TAP {slot.tap}")
    if (device.owner, device.group) != (uid, gid):
        raise InfernoError(f"{slot.tap} belongs to {device.owner}:{device.group} instead of {uid}:{gid}")
    if not device.up or device.multicast:
        raise InfernoError(f"{slot.tap} {'does multicast' if device.up else 'is down'}")
    if altname(name) not in device.altnames:
        raise InfernoError(f"{slot.tap} is not known as {altname(name)}")
    if device.addresses != {f"{slot.gateway}/{slot.prefix_len}"}:
        raise InfernoError(f"{slot.tap} has the addresses {', '.join(sorted(device.addresses)) or 'none'}")
    if slot.subnet not in device.routes:
        raise InfernoError(f"no route to {slot.subnet} goes to {slot.tap}")
    mine = ipaddress.ip_network(slot.subnet)
    for other in here.values():
        for text in other.routes - {slot.subnet}:
            if ipaddress.ip_network(text).subnet_of(mine):  # type: ignore[arg-type]  # both are of IPv4
                raise InfernoError(f"a route to {text}, which is the VM's, goes to {other.name}")


def check_fence(slot: Slot) -> None:
    """Raise InfernoError, which says what it is, when a rule that fences the VM in is missing. Raises OSError."""
    loaded = objects()
    if nft.TABLE not in loaded["tables"]:
        raise InfernoError(f"there is no nft table inet {nft.TABLE}")
    if nft.marker() not in loaded["chains"]:
        raise InfernoError(f"the nft table inet {nft.TABLE} is not the one that this release loads")
    for name, key in nft.keys(slot):
        if key not in elements(name):
            raise InfernoError(f"the nft set {name} in the table inet {nft.TABLE} lacks {slot.tap}")


def objects() -> dict[str, Counter[str]]:
    """What nftables holds in the family inet: of `tables`, `chains` and `sets` the names, of `rules` their chains."""
    from pyroute2.netlink.nfnetlink import nfgen_msg, nftsocket

    asked = {
        "tables": (nftsocket.NFT_MSG_GETTABLE, "NFTA_TABLE_NAME"),
        "chains": (nftsocket.NFT_MSG_GETCHAIN, "NFTA_CHAIN_NAME"),
        "sets": (nftsocket.NFT_MSG_GETSET, "NFTA_SET_NAME"),
        "rules": (nftsocket.NFT_MSG_GETRULE, "NFTA_RULE_CHAIN"),
    }
    with _errors(), nftsocket.NFTSocket(nfgen_family=_INET) as kernel:
        return {
            kind: Counter(row.get_attr(name) for row in kernel.request_get(nfgen_msg(), message))
            for kind, (message, name) in asked.items()
        }


def elements(name: str) -> set[bytes]:
    """The keys in a set of our table, as the kernel has them; none when there is no such set. Raises OSError."""
    from pyroute2.netlink.nfnetlink import nftsocket

    message = nftsocket.nft_set_elem_list_msg()
    message["attrs"] = [["NFTA_SET_ELEM_LIST_TABLE", nft.TABLE], ["NFTA_SET_ELEM_LIST_SET", name]]
    with (
        contextlib.suppress(FileNotFoundError),
        _errors(),
        nftsocket.NFTSocket(nfgen_family=_INET) as kernel,
    ):
        parts = list(kernel.request_get(message, nftsocket.NFT_MSG_GETSETELEM))
        rows = [row for part in parts for row in part.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS") or ()]
        return {row.get_attr("NFTA_SET_ELEM_KEY").get_attr("NFTA_DATA_VALUE") for row in rows}
    return set()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """The kernel's errors as Python knows them, PermissionError among them; pyroute2 has a class of its own."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from None
