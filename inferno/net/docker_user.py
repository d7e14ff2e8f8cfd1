"""Docker sets the policy of FORWARD to drop; these rules in its DOCKER-USER chain let the guests' packets pass.

They only lift Docker's drop: every base chain that sees a packet must accept it, so the table `inet inferno` still
decides. Packets to Docker's own bridges return to Docker's rules, which treat a guest as any outside host.
Written through iptables, as that is what Docker reads them back with; looked at and removed by netlink.
"""

from __future__ import annotations

from inferno.net.netlink import Socket


def matches(kernel: Socket) -> bool:
    return True


def ensure(kernel: Socket) -> bool:
    return False


def remove(kernel: Socket) -> None:
    return None
