"""The TAP of a VM: made, looked at and removed by ioctl and netlink, never by starting a program (see `netlink`).

It belongs to the VM's uid and gid, since a TAP without an owner can be opened by anyone. It speaks IPv4 only and does
no multicast. Everything here is idempotent, and what is half made or differs is put right.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from inferno.base.errors import InfernoError
from inferno.net import netlink
from inferno.net.netlink import Socket, attribute, attributes, nested, text
from inferno.state.slot import Slot, from_tap

# include/uapi/linux/if_tun.h; VNET_HDR as Firecracker asks for it, or its TUNSETIFF would change the device.
_TUNSETIFF, _TUNSETPERSIST, _TUNSETOWNER, _TUNSETGROUP = 0x400454CA, 0x400454CB, 0x400454CC, 0x400454CE
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
# include/uapi/linux/if.h
_IFF_UP, _IFF_MULTICAST = 0x1, 0x1000
# include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _DELADDR, _GETADDR, _NEWLINKPROP = 16, 17, 18, 20, 21, 22, 108
_IFLA_IFNAME, _IFLA_CARRIER, _IFLA_LINKINFO, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 3, 33, 18, 52, 53
_INFO_KIND, _INFO_DATA = 1, 2
_TUN_OWNER, _TUN_GROUP, _TUN_TYPE, _TUN_PERSIST = 1, 2, 3, 6
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_LINK = struct.Struct("=BxHiII")  # ifinfomsg
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg
_TAP_TYPE = 2  # IFF_TAP, in IFLA_TUN_TYPE


@dataclass(frozen=True, slots=True)
class _Link:
    """A network interface as the kernel describes it; the tun fields are None for any other kind."""

    index: int
    name: str
    flags: int
    carrier: bool
    altnames: tuple[str, ...]
    tun: tuple[int, int, int, int] | None  # type, owner, group, persist


def altname(name: str) -> str:
    """What people and the predecessor's users know the TAP of VM `name` as."""
    return f"tap_inferno_{name}"


def matches(slot: Slot, name: str, uid: int, gid: int) -> bool:
    """Whether the TAP is there, complete and as it should be. Two to three system calls, 0.1 ms."""
    with Socket(netlink.ROUTE) as kernel:
        return _matches(kernel, slot, name, uid, gid) and _forwarding()


def ensure(slot: Slot, name: str, uid: int, gid: int) -> bool:
    """Make the TAP what it should be; return whether anything had to change. Turns IPv4 forwarding on.

    Raises InfernoError when another program uses the TAP, or something else has its name.
    """
    with Socket(netlink.ROUTE) as kernel:
        made = not _matches(kernel, slot, name, uid, gid)
        if made:
            _release_altname(kernel, slot, name)
            _make_device(kernel, slot, uid, gid)
            _configure(kernel, slot, name)
    if not _forwarding():
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        made = True
    return made


def in_use(slot: Slot) -> bool:
    """Whether a program has the TAP open: a running VM's Firecracker. It lets go before its cgroup counts as empty."""
    with Socket(netlink.ROUTE) as kernel:
        link = _find(kernel, slot.tap)
    return link is not None and link.tun is not None and link.carrier


def check_free(slot: Slot) -> None:
    """Raise InfernoError when the TAP is in use."""
    if in_use(slot):
        raise _busy(slot)


def remove(slot: Slot) -> None:
    """Remove the TAP, its addresses and routes; none there is fine, and one in use stays.

    Raises InfernoError when it is not a TAP.
    """
    with Socket(netlink.ROUTE) as kernel:
        link = _find(kernel, slot.tap)
        if link is None:
            return
        _check_ours(link)
        if link.carrier:
            return
        _delete(kernel, link)


def taps() -> list[Slot]:
    """The slots whose TAP exists on this host."""
    with Socket(netlink.ROUTE) as kernel:
        links = map(_parse, kernel.dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)))
        slots = [from_tap(link.name) for link in links if link.tun]
    return [slot for slot in slots if slot is not None]


def names() -> list[str]:
    """The names of the VMs whose TAP exists on this host; of one that is half made the TAP's own."""
    with Socket(netlink.ROUTE) as kernel:
        links = map(_parse, kernel.dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)))
        ours = [link for link in links if link.tun and from_tap(link.name)]
    return [_vm_name(link) for link in ours]


def _vm_name(link: _Link) -> str:
    head = altname("")
    return next((each.removeprefix(head) for each in link.altnames if each.startswith(head)), link.name)


def _matches(kernel: Socket, slot: Slot, name: str, uid: int, gid: int) -> bool:
    link = _find(kernel, slot.tap)
    return (
        link is not None
        and link.tun == (_TAP_TYPE, uid, gid, 1)
        and link.flags & (_IFF_UP | _IFF_MULTICAST) == _IFF_UP
        and altname(name) in link.altnames
        and _addresses(kernel, link.index) == {(slot.gateway, slot.prefix_len)}
    )


def _make_device(kernel: Socket, slot: Slot, uid: int, gid: int) -> None:
    link = _find(kernel, slot.tap)
    if link is not None:
        _check_ours(link)
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise InfernoError(f"/dev/net/tun: {error.strerror}", "load the kernel module: modprobe tun") from None
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", slot.tap.encode(), flags))
        # The owner before persistence: a kill in between leaves no TAP that anyone could open.
        fcntl.ioctl(tun, _TUNSETOWNER, uid)
        fcntl.ioctl(tun, _TUNSETGROUP, gid)
        fcntl.ioctl(tun, _TUNSETPERSIST, 1)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _busy(slot) from None
        raise InfernoError(f"{slot.tap}: {error.strerror}", "making a TAP needs root and the tun driver") from None
    finally:
        os.close(tun)


def _busy(slot: Slot) -> InfernoError:
    return InfernoError(
        f"{slot.tap} is in use by another program",
        "a VM of another INFERNO_ROOT on this host? Stop that, or use one root",
    )


def _configure(kernel: Socket, slot: Slot, name: str) -> None:
    link = _find(kernel, slot.tap)
    if link is None:
        raise InfernoError(f"{slot.tap} vanished while it was set up", "is another program removing TAPs?")
    with contextlib.suppress(FileNotFoundError):  # a host without IPv6
        Path(f"/proc/sys/net/ipv6/conf/{slot.tap}/disable_ipv6").write_text("1")
    if altname(name) not in link.altnames:
        names = nested(_IFLA_PROP_LIST, text(_IFLA_ALT_IFNAME, altname(name)))
        kernel.request(_NEWLINKPROP, _LINK.pack(0, 0, link.index, 0, 0) + names, netlink.CREATE | netlink.EXCL)
    for address, prefix_len in _addresses(kernel, link.index) - {(slot.gateway, slot.prefix_len)}:
        kernel.request(_DELADDR, _address(link.index, address, prefix_len))
    with contextlib.suppress(FileExistsError):
        flags = netlink.CREATE | netlink.EXCL
        kernel.request(_NEWADDR, _address(link.index, slot.gateway, slot.prefix_len), flags)
    kernel.request(_NEWLINK, _LINK.pack(0, 0, link.index, _IFF_UP, _IFF_UP | _IFF_MULTICAST))


def _release_altname(kernel: Socket, slot: Slot, name: str) -> None:
    """Names are unique: a TAP of ours that this VM had in another life, with another slot, has to go first."""
    link = _find(kernel, altname(name))
    if link is None or link.name == slot.tap:
        return
    if not link.tun or link.carrier or from_tap(link.name) is None:
        raise InfernoError(f"the network interface {link.name} already has the name {altname(name)}")
    _delete(kernel, link)


def _check_ours(link: _Link) -> None:
    if not link.tun:
        raise InfernoError(
            f"there is a network interface {link.name} that is not Inferno's",
            f"rename it, or: ip link delete {link.name}",
        )


def _delete(kernel: Socket, link: _Link) -> None:
    try:
        kernel.request(_DELLINK, _LINK.pack(0, 0, link.index, 0, 0))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise InfernoError(f"{link.name} cannot be removed: {error.strerror}") from None


def _find(kernel: Socket, name: str) -> _Link | None:
    """The interface whose name or altname is `name` (IFLA_ALT_IFNAME finds both, and takes more than 15 bytes)."""
    try:
        return _parse(kernel.get(_GETLINK, _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_ALT_IFNAME, name)))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise InfernoError(f"{name}: {error.strerror}") from None
        return None


def _parse(body: bytes) -> _Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    fields = dict(attributes(body[_LINK.size :]))
    names = tuple(_string(value) for _, value in attributes(fields.get(_IFLA_PROP_LIST, b"")))
    info = dict(attributes(fields.get(_IFLA_LINKINFO, b"")))
    tun = None
    if _string(info.get(_INFO_KIND, b"")) == "tun":
        data = dict(attributes(info.get(_INFO_DATA, b"")))
        owner, group = (_number(data.get(kind)) for kind in (_TUN_OWNER, _TUN_GROUP))
        tun = (_number(data.get(_TUN_TYPE)), owner, group, _number(data.get(_TUN_PERSIST)))
    carrier = fields.get(_IFLA_CARRIER, b"\0")[0] == 1
    return _Link(index, _string(fields[_IFLA_IFNAME]), flags, carrier, names, tun)


def _number(value: bytes | None) -> int:
    """An integer attribute in the host's byte order; -1 (as a uid: nobody's) when the kernel left it out."""
    return int.from_bytes(value, "little") if value else -1


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _addresses(kernel: Socket, index: int) -> set[tuple[str, int]]:
    """The IPv4 addresses of an interface, each with its prefix length."""
    found = set()
    for body in kernel.dump(_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, index)):
        _, prefix_len, _, _, owner = _ADDRESS.unpack_from(body)
        fields = dict(attributes(body[_ADDRESS.size :]))
        if owner == index and _IFA_LOCAL in fields:
            found.add((socket.inet_ntoa(fields[_IFA_LOCAL]), prefix_len))
    return found


def _address(index: int, address: str, prefix_len: int) -> bytes:
    packed = socket.inet_aton(address)
    head = _ADDRESS.pack(socket.AF_INET, prefix_len, 0, 0, index)
    return head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)


def _forwarding() -> bool:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
