"""Docker sets the policy of FORWARD to drop; these rules in its DOCKER-USER chain let the guests' packets pass.

They only lift Docker's drop: every base chain that sees a packet must accept it, so the table `inet inferno` still
decides. Packets to Docker's own bridges return to Docker's rules, which treat a guest as any host outside.
Written through iptables, as Docker reads its chains back with it; looked at and removed by netlink. A host whose
iptables is the legacy one, or whose Docker starts after the VM, is served at the next start of a VM.
"""

from __future__ import annotations

import socket

from inferno.base.processes import run
from inferno.net.netlink import NFGENMSG_SIZE, NFTABLES, Message, Socket, attribute, attributes, nfgenmsg, text
from inferno.state.slot import NETWORK, TAP_PREFIX

_COMMENT = "inferno-guests"
# In this order: the bridges of Docker's networks are docker0 and br-<id>.
_RULES = (
    f"-i {TAP_PREFIX}+ -o docker0 -j RETURN",
    f"-i {TAP_PREFIX}+ -o br-+ -j RETURN",
    f"-s {NETWORK} -i {TAP_PREFIX}+ -j ACCEPT",
    f"-d {NETWORK} -o {TAP_PREFIX}+ -j ACCEPT",
)
# include/uapi/linux/netfilter/nf_tables.h
_GETCHAIN, _GETRULE, _DELRULE = (NFTABLES << 8 | number for number in (4, 7, 8))
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE = 1, 2, 3
_CHAIN_TABLE, _CHAIN_NAME = 1, 3
_FILTER, _NAME = "filter", "DOCKER-USER"
_RULES_OF_CHAIN = nfgenmsg(socket.AF_INET) + text(_RULE_TABLE, _FILTER) + text(_RULE_CHAIN, _NAME)


def matches(kernel: Socket) -> bool:
    """Whether there is no such chain, or our rules are all in it."""
    handles = _handles(kernel)
    return handles is None or len(handles) == len(_RULES)


def ensure(kernel: Socket) -> bool:
    """Put our rules first into DOCKER-USER when there is one; return whether anything changed."""
    handles = _handles(kernel)
    if handles is None or len(handles) == len(_RULES):
        return False
    if handles:
        kernel.transaction(removals(kernel))
    comment = f"-m comment --comment {_COMMENT}"
    lines = [f"-I DOCKER-USER {number} {comment} {rule}" for number, rule in enumerate(_RULES, 1)]
    commands = "\n".join(["*filter", *lines, "COMMIT", ""])
    run(["iptables-nft-restore", "--noflush", "--wait"], input=commands.encode())
    return True


def removals(kernel: Socket) -> list[Message]:
    """The messages that remove our rules, to be part of a transaction."""
    handles = _handles(kernel) or ()
    return [Message(_DELRULE, 0, _RULES_OF_CHAIN + attribute(_RULE_HANDLE, handle)) for handle in handles]


def _handles(kernel: Socket) -> list[bytes] | None:
    """The handles of our rules in DOCKER-USER, known by their comment; None when there is no such chain."""
    chain = nfgenmsg(socket.AF_INET) + text(_CHAIN_TABLE, _FILTER) + text(_CHAIN_NAME, _NAME)
    try:
        kernel.get(_GETCHAIN, chain)
    except FileNotFoundError:
        return None
    rules = [body for body in kernel.dump(_GETRULE, _RULES_OF_CHAIN) if _COMMENT.encode() in body]
    return [dict(attributes(body[NFGENMSG_SIZE:]))[_RULE_HANDLE] for body in rules]
