"""The rules that fence VMs in: one nftables table `inet inferno`, of which a VM is no more than a few set elements.

The rules are templates/nft.ruleset.nft, loaded by `nft -f -` with the first element; others come and go by netlink,
which takes under a millisecond where a start of nft takes 10 to 100. The table goes with its last element, so that a
host without running VMs holds nothing of ours; a lock keeps that apart from a VM that starts at the same moment. It is
this host's, as the table is, which VMs of another INFERNO_ROOT use too; and root's, since who can open it can hold it.
What the elements should be follows from the TAPs there are, so also a table that somebody flushed comes back whole.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from inferno.base import files, templates
from inferno.base.processes import run
from inferno.net import docker_user, tap
from inferno.net.netlink import (
    CREATE,
    NETFILTER,
    NFGENMSG_SIZE,
    NFTABLES,
    Message,
    Socket,
    attribute,
    attributes,
    nested,
    nfgenmsg,
    text,
)
from inferno.state.paths import HOST
from inferno.state.slot import NETWORK, Slot

TABLE = "inferno"
LOCK = HOST.network_lock
_TEMPLATE = "nft.ruleset.nft"
# include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h and netfilter.h
_INET = 1
_GETTABLE, _DELTABLE, _GETCHAIN = (NFTABLES << 8 | number for number in (1, 2, 4))
_NEWSETELEM, _GETSETELEM, _DELSETELEM = (NFTABLES << 8 | number for number in (12, 13, 14))
_TABLE_NAME, _CHAIN_TABLE, _CHAIN_NAME = 1, 1, 3
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _ELEM, _ELEM_KEY, _DATA_VALUE = 1, 2, 3, 1, 1, 1
_IFNAMSIZ = 16


def matches(slot: Slot) -> bool:
    """Whether the current rules are loaded, with this VM's elements, and Docker lets it pass. 0.1 ms."""
    with Socket(NETFILTER) as kernel:
        return _loaded(kernel) and _has_elements(kernel, slot) and docker_user.matches(kernel)


def ensure(slot: Slot, kept: Path | None = None) -> bool:
    """Load the rules when they are missing or older, add the VM's elements; return whether anything changed.

    `kept` is the file that holds the text of the last load: a VM that is started alone, again and again, finds its own
    there, and jinja2 is not imported. Raises InfernoError when nft fails.
    """
    with _alone(), Socket(NETFILTER) as kernel:
        made = docker_user.ensure(kernel)
        if _loaded(kernel) and _has_elements(kernel, slot):
            return made
        try:
            if _loaded(kernel):
                kernel.transaction([_element(_NEWSETELEM, name, key) for name, key in keys(slot)])
                return True
        except FileNotFoundError:  # somebody took a set out of the table
            pass
        _load({slot, *tap.taps()}, kept)
        return True


def remove(slot: Slot) -> None:
    """Remove the VM's elements, and all rules with the last one. Nothing there is fine."""
    with _alone(), Socket(NETFILTER) as kernel:
        try:
            others = _taps(kernel) - {slot.tap}
        except FileNotFoundError:  # no table, or one that lacks the set
            others = {other.tap for other in tap.taps()} - {slot.tap}
        if not others:
            _remove_all(kernel)
            return
        # Adding first makes the removal of an element that is not there no error (nft's `destroy` needs Linux 6.3).
        changes = [_element(kind, name, key) for name, key in keys(slot) for kind in (_NEWSETELEM, _DELSETELEM)]
        with contextlib.suppress(FileNotFoundError):
            kernel.transaction(changes)


def _alone() -> contextlib.AbstractContextManager[None]:
    """One at a time on this host, whichever INFERNO_ROOT the VM is of. The file is root's, who alone can open it."""
    return files.lock(LOCK, "the network of VMs", keep=True, tell=True)


def _remove_all(kernel: Socket) -> None:
    changes = docker_user.removals(kernel)
    table = nfgenmsg(_INET) + text(_TABLE_NAME, TABLE)
    if _there(kernel, _GETTABLE, table):
        changes.append(Message(_DELTABLE, 0, table))
    if changes:
        kernel.transaction(changes)


def _taps(kernel: Socket) -> set[str]:
    """The elements of the set `taps`. Raises FileNotFoundError when there is no such set."""
    names = set()
    for body in kernel.dump(_GETSETELEM, _set("taps")):
        fields = dict(attributes(body[NFGENMSG_SIZE:]))
        for _, element in attributes(fields.get(_LIST_ELEMENTS, b"")):
            (_, key), *_ = (pair for pair in attributes(element) if pair[0] == _ELEM_KEY)
            names.add(dict(attributes(key))[_DATA_VALUE].rstrip(b"\0").decode())
    return names


def _loaded(kernel: Socket) -> bool:
    chain = nfgenmsg(_INET) + text(_CHAIN_TABLE, TABLE) + text(_CHAIN_NAME, marker())
    return _there(kernel, _GETCHAIN, chain)


def _has_elements(kernel: Socket, slot: Slot) -> bool:
    return all(_there(kernel, _GETSETELEM, _element_body(name, key)) for name, key in keys(slot))


def _there(kernel: Socket, kind: int, body: bytes) -> bool:
    try:
        kernel.get(kind, body)
    except FileNotFoundError:
        return False
    return True


@functools.cache
def marker() -> str:
    """The name of the empty chain that says that just these rules are loaded."""
    inputs = "\0".join([templates.source(_TEMPLATE), TABLE, NETWORK])
    return f"ruleset_{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def _load(slots: Iterable[Slot], kept: Path | None) -> None:
    """One transaction: the table as it was goes, the new one comes with its elements."""
    vms = [{"tap": slot.tap, "guest": slot.guest} for slot in sorted(slots)]
    values = {"table": TABLE, "network": NETWORK, "marker": marker(), "vms": vms}
    rules = templates.render_kept(_TEMPLATE, values, kept) if kept else templates.render(_TEMPLATE, values)
    run(["nft", "-f", "-"], input=rules.encode(), hint="is the nf_tables kernel module there?")


def keys(slot: Slot) -> Iterator[tuple[str, bytes]]:
    """The VM's elements: (set, key). In a concatenation each part is padded to 4 bytes, as these are by nature."""
    name = slot.tap.encode().ljust(_IFNAMSIZ, b"\0")
    yield "taps", name
    yield "antispoof", name + socket.inet_aton(slot.guest)


def _set(name: str) -> bytes:
    return nfgenmsg(_INET) + text(_LIST_TABLE, TABLE) + text(_LIST_SET, name)


def _element_body(name: str, key: bytes) -> bytes:
    element = nested(_ELEM, nested(_ELEM_KEY, attribute(_DATA_VALUE, key)))
    return _set(name) + nested(_LIST_ELEMENTS, element)


def _element(kind: int, name: str, key: bytes) -> Message:
    return Message(kind, CREATE if kind == _NEWSETELEM else 0, _element_body(name, key))
